"""``meshctl data import`` and ``jobs``: files into the catalog."""

from pathlib import Path
from typing import Annotated

import typer

from mesh.marketdata.v1 import marketdata_pb2 as md
from meshclient.cli.base import Shell, command
from meshclient.cli.data import Kind, What, check_choice
from meshclient.cli.data import app as app  # these commands are added to it
from meshclient.cli.output import moment
from meshclient.cli.progress import job_state_name, upload_bar
from meshclient.data import KINDS, kind_of
from meshclient.errors import UsageError
from meshclient.fill import Filler

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
    check_choice(kind, KINDS, "--kind")
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
    check_choice(wanted, FORMATS, "--format")
    found = wanted or {".csv": "csv", ".parquet": "parquet"}.get(file.suffix.lower(), "")
    if not found:
        raise UsageError(f"Name the format of {file.name} with --format: {', '.join(FORMATS)}.")
    return FORMATS[found]


def _columns(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--column must be OURS=THEIRS, not '{pair}'.")
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


@command(app, "jobs")
async def jobs(
    shell: Shell,
    import_id: Annotated[str, typer.Argument(help="Show one job.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """List import jobs, the newest first, or show one with its faults."""
    if import_id:
        _show_job(shell, await shell.mesh.data.job(await shell.mesh.data.find(import_id)))
        return
    found = await shell.mesh.data.jobs(limit=limit)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.import_id[:8],
            each.spec.bar_type or each.spec.instrument_id,
            job_state_name(each.state),
            each.rows_written,
            each.reason,
        )
        for each in found
    ]
    columns = ["import", "data", "state", "rows", "reason"]
    shell.out.table(
        columns, rows, right=["rows"], whole=["import", "state"], empty="No imports yet."
    )
