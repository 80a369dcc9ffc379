"""``meshctl data``: import, list, read and delete stored market data; instruments; import jobs."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format

from mesh.marketdata.v1 import instrument_pb2
from mesh.marketdata.v1 import marketdata_pb2 as md
from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment, size
from meshclient.cli.progress import job_state_name, upload_bar
from meshclient.data import KINDS, kind_of, selection
from meshclient.errors import MeshClientError, SpecError
from meshclient.fill import Filler
from meshclient.tables import write_table

app = typer.Typer(no_args_is_help=True, help="Import, list, read and delete market data.")

What = Annotated[
    str, typer.Argument(help="A bar type, or an instrument id with --kind.", metavar="WHAT")
]
Kind = Annotated[str, typer.Option(help=f"Kind of data: {', '.join(KINDS)}.")]
Start = Annotated[datetime | None, typer.Option(help="First time, UTC.")]
End = Annotated[datetime | None, typer.Option(help="Last time, UTC, included.")]
FORMATS = {
    name.removeprefix("IMPORT_FORMAT_").lower().replace("_", "-"): number
    for name, number in md.ImportFormat.items()
    if number
}


@command(app, "import")
async def import_(
    shell: Shell,
    file: Annotated[Path, typer.Argument(help="The file to send.")],
    what: What,
    kind: Kind = "",
    format: Annotated[str, typer.Option(help=f"One of: {', '.join(FORMATS)}.")] = "",
    overlap: Annotated[str, typer.Option(help="merge, refuse or replace.")] = "merge",
    open_time: Annotated[
        bool, typer.Option("--open-time", help="A bar's timestamp is its opening time.")
    ] = False,
    time_zone: Annotated[str, typer.Option(help="Zone of timestamps that name none.")] = "",
    column: Annotated[
        list[str] | None, typer.Option(help="OURS=THEIRS, where the file names a column otherwise.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the job.")] = False,
) -> None:
    """Import a file: OHLCV bars, quotes, trades, book data as CSV or Parquet."""
    _check(kind, KINDS, "--kind")
    spec = md.ImportSpec(
        kind=kind_of(what, kind),
        time_zone=time_zone,
        timestamp_is_open=open_time,
        columns=_columns(column or []),
    )
    spec.format = _format(file, format)  # type: ignore[assignment] # an open enum
    Filler().fill(spec, {"overlap": overlap}, "")
    if spec.kind == md.DATA_KIND_BAR:
        spec.bar_type = what
    else:
        spec.instrument_id = what
    with upload_bar(shell.out, file.name) as (sent, progress):
        if detach:
            job = await shell.mesh.data.upload(file, spec, progress=sent)
        else:
            job = await shell.mesh.data.import_file(file, spec, sent=sent, progress=progress)
    _show_job(shell, job)


def _format(file: Path, wanted: str) -> int:
    _check(wanted, FORMATS, "--format")
    found = wanted or {".csv": "csv", ".parquet": "parquet"}.get(file.suffix.lower(), "")
    if not found:
        raise SpecError(f"Name the format of {file.name} with --format: {', '.join(FORMATS)}.")
    return FORMATS[found]


def _check(value: str, known: dict[str, Any], option: str) -> None:
    if value and value not in known:
        raise SpecError(f"{option} must be one of {', '.join(known)}, not '{value}'.")


def _columns(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise SpecError(f"--column must be OURS=THEIRS, not '{pair}'.")
    return dict(pair.split("=", 1) for pair in pairs)


def _show_job(shell: Shell, job: md.ImportJob) -> None:
    if shell.out.as_json:
        shell.out.json(job)
        return
    shell.out.fields(
        [
            ("import", job.import_id),
            ("state", job_state_name(job.state)),
            ("rows read", job.rows_read),
            ("rows new", job.rows_written),
            ("present before", job.rows_present or None),
            ("duplicates", job.duplicates or None),
            ("unsorted", job.rows_unsorted or None),
            ("gaps", job.gap_count or None),
            ("from", moment(job.first_time)),
            ("to", moment(job.last_time)),
            ("reason", job.reason),
            ("message", job.message),
        ]
    )
    if job.faults:
        rows = [(each.line, each.column, each.value, each.description) for each in job.faults[:20]]
        shell.out.table(["line", "column", "value", "fault"], rows, right=["line"])


@command(app, "ls")
async def coverage(shell: Shell, instrument: str = "", kind: Kind = "") -> None:
    """List what is stored (coverage), by instrument and kind."""
    _check(kind, KINDS, "--kind")
    found = await shell.mesh.data.coverage(kind=KINDS.get(kind, 0), instrument_id=instrument)
    if shell.out.as_json:
        shell.out.json(found)
        return
    names = {number: name for name, number in KINDS.items()}
    rows = [
        (
            each.bar_type or f"{each.instrument_id} {names.get(each.kind, each.kind)}",
            moment(each.first_time)[:16],
            moment(each.last_time)[:16],
            each.rows,
            each.gap_count or "",
            size(each.bytes),
        )
        for each in found
    ]
    shell.out.table(
        ["data", "from", "to", "rows", "gaps", "size"],
        rows,
        right=["rows", "gaps", "size"],
        empty="Nothing is stored. `meshctl data import FILE WHAT` adds data.",
    )


@command(app, "show")
async def show(shell: Shell, what: What, kind: Kind = "") -> None:
    """Show files and gaps of one kind of data."""
    _check(kind, KINDS, "--kind")
    detail = await shell.mesh.data.coverage_detail(selection(what, kind))
    if shell.out.as_json:
        shell.out.json(detail)
        return
    rows = [
        (moment(each.first_time), moment(each.last_time), each.rows, size(each.bytes))
        for each in detail.files
    ]
    shell.out.table(["from", "to", "rows", "size"], rows, title="files", right=["rows", "size"])
    gaps = [(moment(gap.after), moment(gap.before), gap.missing) for gap in detail.gaps[:50]]
    if gaps:
        title = f"gaps ({detail.coverage.gap_count})"
        shell.out.table(["after", "before", "missing"], gaps, title=title, right=["missing"])


@command(app, "read")
async def read(
    shell: Shell,
    what: What,
    kind: Kind = "",
    start: Start = None,
    end: End = None,
    columns: Annotated[str, typer.Option(help="Columns, separated by commas.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Rows at most; 0: all with --out.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write to a .parquet or .csv file.")] = None,
) -> None:
    """Read rows: to the screen (20 unless told otherwise), as JSON, or into a file."""
    _check(kind, KINDS, "--kind")
    chosen = selection(what, kind, start, end)
    names = [name.strip() for name in columns.split(",") if name.strip()]
    shown = limit if limit or out or shell.out.as_json else 20
    table = await shell.mesh.data.read(chosen, columns=names, limit=shown)
    if out is not None:
        write_table(table, out)
        shell.out.say(f"{table.num_rows:,} rows in {out}")
    if shell.out.as_json:
        shell.out.json({"file": str(out), "rows": table.num_rows} if out else table)
    elif out is None:
        shell.out.rows(table)


@command(app, "rm")
async def remove(
    shell: Shell,
    what: What,
    kind: Kind = "",
    start: Start = None,
    end: End = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete stored rows: all of WHAT, or those between --start and --end."""
    _check(kind, KINDS, "--kind")
    chosen = selection(what, kind, start, end)
    shell.confirm(f"Delete {'all of ' if not (start or end) else ''}{what}?", yes)
    rows = await shell.mesh.data.delete(chosen)
    if shell.out.as_json:
        shell.out.json({"rows": rows})
    else:
        shell.out.say(f"{rows:,} rows deleted")


@command(app, "instruments")
async def instruments(
    shell: Shell,
    venue: Annotated[str, typer.Option(help="Only those of a venue.")] = "",
    create: Annotated[
        Path | None, typer.Option(help="Make the instrument that a JSON file defines.")
    ] = None,
    delete: Annotated[str, typer.Option(help="Remove an instrument by its id.")] = "",
) -> None:
    """List instruments, or make or remove one."""
    if create is not None:
        made = [await shell.mesh.instruments.create(_definition(create))]
    elif delete:
        await shell.mesh.instruments.delete(delete)
        made = []
    else:
        made = list(await shell.mesh.instruments.list(venue=venue))
    if shell.out.as_json:
        shell.out.json(made)
        return
    rows = [
        (
            each.definition.instrument_id,
            _type_name(each.definition.type),
            each.definition.quote_currency,
            each.definition.price_increment,
            each.definition.size_increment,
        )
        for each in made
    ]
    columns = ["instrument", "type", "currency", "price step", "size step"]
    shell.out.table(columns, rows, empty=f"{delete} removed" if delete else "No instruments.")


def _type_name(number: int) -> str:
    name = instrument_pb2.InstrumentType.Name(number)  # type: ignore[arg-type] # an open enum
    return name.removeprefix("INSTRUMENT_TYPE_").lower().replace("_", " ")


def _definition(file: Path) -> instrument_pb2.InstrumentDefinition:
    try:
        return json_format.ParseDict(
            json.loads(file.read_text("utf-8")), instrument_pb2.InstrumentDefinition()
        )
    except OSError as error:
        raise MeshClientError(
            f"{file}: {error.strerror}", code="INVALID_ARGUMENT", reason="FILE_UNREADABLE"
        ) from None
    except (ValueError, json_format.ParseError) as error:
        raise SpecError(f"{file}: {error}.") from None


@command(app, "jobs")
async def jobs(
    shell: Shell,
    import_id: Annotated[str, typer.Argument(help="Show one job.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """List import jobs, the newest first, or show one with its faults."""
    if import_id:
        _show_job(shell, await shell.mesh.data.job(import_id))
        return
    found = await shell.mesh.data.jobs(limit=limit)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.import_id,
            each.spec.bar_type or each.spec.instrument_id,
            job_state_name(each.state),
            each.rows_written,
            each.reason,
        )
        for each in found
    ]
    columns = ["import", "data", "state", "rows", "reason"]
    shell.out.table(columns, rows, right=["rows"], whole=["state"], empty="No imports yet.")
