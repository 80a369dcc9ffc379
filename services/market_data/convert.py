"""Contracts ↔ domain, pure, both ways."""

from typing import Any

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.common.v1.types_pb2 import TimeRange
from mesh.marketdata.v1 import instrument_pb2
from mesh.marketdata.v1 import marketdata_pb2 as pb
from meshkit import enums
from meshkit.times import from_datetime, to_nanos, to_timestamp
from services.market_data.catalog import File
from services.market_data.domain import FIRST, LAST, Job, Series, StoredInstrument, fingerprint
from services.market_data.file_store import Covered


def kind_name(number: int) -> str:
    """Return a data kind's bare name, empty for unspecified."""
    return enums.bare(pb.DataKind, number)


def series_of(field: str, selection: pb.DataSelection) -> Series:
    """Return the series of a selection; ``field`` names it in errors."""
    return Series.of(field, kind_name(selection.kind), selection.instrument_id, selection.bar_type)


def range_of(message: TimeRange) -> tuple[int, int]:
    """Return the closed range in unix nanoseconds, no further than a catalog reaches."""
    start = to_nanos(message.start) if message.HasField("start") else FIRST
    end = to_nanos(message.end) if message.HasField("end") else LAST
    return max(-LAST, min(LAST, start)), max(-LAST, min(LAST, end))


def instrument(item: StoredInstrument) -> instrument_pb2.Instrument:
    """Return an instrument as a message."""
    return instrument_pb2.Instrument(
        definition=instrument_pb2.InstrumentDefinition.FromString(item.definition),
        meta=_meta(item),
    )


def job(item: Job) -> pb.ImportJob:
    """Return an import job as a message."""
    report = item.report
    message = pb.ImportJob(
        meta=_meta(item),
        import_id=item.import_id,
        spec=pb.ImportSpec.FromString(item.spec),
        file_name=item.file_name,
        upload_bytes=item.upload_bytes,
        upload_sha256=item.upload_sha256,
        state=pb.ImportState.Value(f"IMPORT_STATE_{item.state}"),
        progress=1.0 if item.end_time else 0.0,
        gaps=[_gap(each) for each in report.get("gaps", ())],
        faults=[pb.ImportFault(**each) for each in report.get("faults", ())],
        fault_count=report.get("fault_count", 0),
        reason=item.reason,
        message=item.message,
        start_time=from_datetime(item.start_time),
        end_time=from_datetime(item.end_time),
        attempts=item.attempts,
    )
    for name in (
        "rows_read",
        "rows_written",
        "duplicates",
        "rows_present",
        "rows_unsorted",
        "gap_count",
    ):
        setattr(message, name, report.get(name, 0))
    if report.get("first_time"):
        message.first_time.CopyFrom(to_timestamp(report["first_time"]))
        message.last_time.CopyFrom(to_timestamp(report["last_time"]))
    return message


def coverage(project: str, item: Covered) -> pb.Coverage:
    """Return coverage as a message."""
    return pb.Coverage(
        project=project,
        kind=pb.DataKind.Value(f"DATA_KIND_{item.series.kind}"),
        instrument_id=item.series.instrument_id,
        bar_type=item.series.bar_type,
        first_time=to_timestamp(item.first),
        last_time=to_timestamp(item.last),
        rows=item.rows,
        files=item.files,
        bytes=item.bytes,
        gap_count=item.gap_count,
        fingerprint=fingerprint(item.hashes),
        update_time=from_datetime(item.update_time),
    )


def file(item: File) -> pb.CatalogFile:
    """Return a catalog file as a message."""
    return pb.CatalogFile(
        path=item.path,
        bytes=item.bytes,
        rows=item.rows,
        first_time=to_timestamp(item.first),
        last_time=to_timestamp(item.last),
        sha256=item.sha256,
    )


def gap(after: int, before: int, missing: int) -> pb.Gap:
    """Return a gap as a message."""
    return pb.Gap(after=to_timestamp(after), before=to_timestamp(before), missing=missing)


def _gap(values: Any) -> pb.Gap:
    return gap(*values)


def _meta(item: Any) -> ResourceMeta:
    updated = item.update_time
    return ResourceMeta(
        owner=item.owner,
        project=item.project,
        create_time=from_datetime(item.create_time),
        update_time=from_datetime(updated),
        etag=str(int(updated.timestamp() * 1_000_000)) if updated else "",
    )
