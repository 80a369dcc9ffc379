"""History jobs as messages, and the fact that one changed."""

from typing import Any

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.common.v1.types_pb2 import TimeRange
from mesh.marketdata.v1 import history_job_service_pb2 as pb
from mesh.marketdata.v1.live_pb2 import Channel
from mesh.marketdata.v1.marketdata_pb2 import DataKind
from meshkit import enums
from meshkit.facts import FactLog
from meshkit.times import from_datetime, to_timestamp
from services.market_data.events import FACTS
from services.market_data.live.history.domain import HistoryJob

_log = FactLog("market-data")


def message(job: HistoryJob) -> pb.HistoryJob:
    """Return a job as a message."""
    updated = job.update_time
    series = job.series
    return pb.HistoryJob(
        meta=ResourceMeta(
            owner=job.owner,
            project=job.project,
            create_time=from_datetime(job.create_time),
            update_time=from_datetime(updated),
            etag=str(int(updated.timestamp() * 1_000_000)) if updated else "",
        ),
        history_job_id=job.history_job_id,
        feed_id=job.feed_id,
        channel=Channel(
            kind=DataKind.ValueType(enums.number(DataKind, series.kind)),
            instrument_id=series.instrument_id,
            bar_type=series.bar_type,
        ),
        range=TimeRange(start=to_timestamp(job.start), end=to_timestamp(job.end)),
        refresh=job.refresh,
        state=pb.HistoryJobState.ValueType(enums.number(pb.HistoryJobState, job.state)),
        progress=job.progress,
        position=to_timestamp(job.position),
        rows_received=job.rows_received,
        rows_written=job.rows_written,
        requests=job.requests,
        reason=job.reason,
        message=job.message,
        attempts=job.attempts,
        start_time=from_datetime(job.start_time),
        end_time=from_datetime(job.end_time),
    )


async def tell(tx: Any, job: HistoryJob) -> None:
    """Write the fact that a job changed into its transaction."""
    await _log.append(
        tx,
        FACTS,
        subject=job.history_job_id,
        owner=job.owner,
        project=job.project,
        payload=pb.HistoryJobChanged(job=message(job)),
    )
