"""``meshctl backtest show``, ``tearsheet`` and ``export``: what came out of a run."""

from pathlib import Path
from typing import Annotated

import typer

from meshclient.backtests import TABLES
from meshclient.cli.backtest import RunId
from meshclient.cli.backtest import app as app  # these commands are added to it
from meshclient.cli.base import Shell, command
from meshclient.cli.results import show_run
from meshclient.errors import UsageError
from meshclient.figure import write_png


@command(app, "show")
async def show(
    shell: Shell,
    backtest_id: RunId,
    png: Annotated[Path | None, typer.Option(help="Draw equity and drawdown into a PNG.")] = None,
) -> None:
    """Show a run: state, metrics, accounts and the equity curve."""
    run = await shell.mesh.backtests.get(await shell.mesh.backtests.find(backtest_id))
    if png is not None:
        title = run.name or run.backtest_id
        write_png(run.result.equity, png, title)
    if shell.out.as_json:
        shell.out.json(run)
        return
    show_run(shell.out, run)
    if png is not None:
        shell.out.say(f"wrote {png}")


@command(app, "tearsheet")
async def tearsheet(
    shell: Shell,
    backtest_id: RunId,
    out: Annotated[
        Path | None, typer.Option(help="File to write; tearsheet-ID.html when left out.")
    ] = None,
) -> None:
    """Write the tearsheet of a run: one HTML page with its charts."""
    found = await shell.mesh.backtests.find(backtest_id)
    file = out or Path(f"tearsheet-{found[:8]}.html")
    page = await shell.mesh.backtests.tearsheet(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(page)
    if shell.out.as_json:
        shell.out.json({"file": str(file), "bytes": len(page)})
    else:
        shell.out.say(f"wrote {file}")


@command(app, "export")
async def export(
    shell: Shell,
    backtest_id: RunId,
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path(),
    format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    table: Annotated[
        list[str] | None, typer.Option(help=f"Only some of: {', '.join(TABLES)}.")
    ] = None,
) -> None:
    """Write orders, fills, positions, account and equity as files."""
    if format not in ("parquet", "csv"):
        raise UsageError(f"--format must be parquet or csv, not '{format}'.")
    for name in table or []:
        if name not in TABLES:
            raise UsageError(f"--table must be one of {', '.join(TABLES)}, not '{name}'.")
    found = await shell.mesh.backtests.find(backtest_id)
    tables = table or list(TABLES)
    files = await shell.mesh.backtests.export(found, out, tables=tables, format=format)
    if shell.out.as_json:
        shell.out.json({"files": [str(file) for file in files]})
    else:
        for file in files:
            shell.out.say(f"wrote {file}")
