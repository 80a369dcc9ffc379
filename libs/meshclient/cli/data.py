"""``meshctl data``: import, list, read and delete stored market data."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment, size
from meshclient.data import KINDS, selection
from meshclient.errors import UsageError
from meshclient.tables import write_table

app = typer.Typer(no_args_is_help=True, help="Import, list, read and delete market data.")

What = Annotated[
    str, typer.Argument(help="A bar type, or an instrument id with --kind.", metavar="WHAT")
]
Kind = Annotated[str, typer.Option(help=f"Kind of data: {', '.join(KINDS)}.")]
Start = Annotated[datetime | None, typer.Option(help="First time, UTC.")]
End = Annotated[datetime | None, typer.Option(help="Last time, UTC, included.")]


def check_choice(value: str, known: dict[str, Any], option: str) -> None:
    """Refuse a value of an option that is not among the known ones; empty is none."""
    if value and value not in known:
        raise UsageError(f"{option} must be one of {', '.join(known)}, not '{value}'.")


@command(app, "ls")
async def coverage(shell: Shell, instrument: str = "", kind: Kind = "") -> None:
    """List what is stored (coverage), by instrument and kind."""
    check_choice(kind, KINDS, "--kind")
    found = await shell.mesh.data.coverage(kind=KINDS.get(kind, 0), instrument_id=instrument)
    if shell.out.as_json:
        shell.out.json(found)
        return
    names = {number: name for name, number in KINDS.items()}
    rows = [
        (
            each.bar_type or f"{each.instrument_id} {names.get(each.kind, each.kind)}",
            moment(each.first_time)[:10],
            moment(each.last_time)[:10],
            each.rows,
            each.gap_count,
        )
        for each in found
    ]
    shell.out.table(
        ["data", "from", "to", "rows", "gaps"],
        rows,
        right=["rows", "gaps"],
        whole=["from", "to"],
        empty="Nothing is stored. `meshctl data import FILE WHAT` adds data.",
    )


@command(app, "show")
async def show(shell: Shell, what: What, kind: Kind = "") -> None:
    """Show files and gaps of one kind of data."""
    check_choice(kind, KINDS, "--kind")
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
    check_choice(kind, KINDS, "--kind")
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
    check_choice(kind, KINDS, "--kind")
    chosen = selection(what, kind, start, end)
    shell.confirm(f"Delete {'all of ' if not (start or end) else ''}{what}?", yes)
    rows = await shell.mesh.data.delete(chosen)
    if shell.out.as_json:
        shell.out.json({"rows": rows})
    else:
        shell.out.say(f"{rows:,} rows deleted")
