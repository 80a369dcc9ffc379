"""``meshctl trader watch`` and ``meshctl order watch``."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from meshclient.cli.base import Shell, command
from meshclient.cli.order import app as order_app
from meshclient.cli.trade_live import TradeShow, print_events
from meshclient.cli.trade_view import ORDERS, POSITIONS, TRADERS
from meshclient.cli.trader import app as trader_app
from meshclient.errors import UsageError

apps = (order_app, trader_app)
"""The groups that these commands are added to."""

Traders = Annotated[
    list[str] | None,
    typer.Argument(help="Trader ids; all of the project when none is named.", metavar="TRADER"),
]
Once = Annotated[bool, typer.Option("--once", help="Show the state once, and end.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="End after so many seconds.")]


@command(trader_app, "watch")
async def watch_traders(
    shell: Shell, trader: Traders = None, once: Once = False, seconds: Seconds = None
) -> None:
    """Watch traders: a live table of states, positions and P&L; lines when piped; with --json one
    event a line. Ctrl-C ends.
    """
    ids = trader or []
    sections = [POSITIONS, ORDERS] if len(ids) == 1 else [TRADERS, POSITIONS]
    if shell.out.as_json:
        await _json(shell, ids, once, seconds, orders=False)
    else:
        await _show(TradeShow(shell.mesh, shell.out, ids, sections), once, seconds)


@command(order_app, "watch")
async def watch_orders(
    shell: Shell,
    trader: Traders = None,
    instrument: Annotated[
        list[str] | None, typer.Option(help="Only orders of this instrument.")
    ] = None,
    once: Once = False,
    seconds: Seconds = None,
) -> None:
    """Watch orders: a live table of open orders, positions and P&L under what happens; lines when
    piped; with --json one event a line. Ctrl-C ends.
    """
    if shell.out.as_json:
        await _json(shell, trader or [], once, seconds, instrument or [])
        return
    show = TradeShow(
        shell.mesh, shell.out, trader or [], [ORDERS, POSITIONS], instrument_ids=instrument or []
    )
    await _show(show, once, seconds)


async def _show(show: TradeShow, once: bool, seconds: float | None) -> None:
    with suppress(asyncio.CancelledError):  # Ctrl-C is how a watch is meant to end
        if once:
            await show.once()
        else:
            await show.run(seconds)


async def _json(
    shell: Shell,
    ids: Sequence[str],
    once: bool,
    seconds: float | None,
    instruments: Sequence[str] = (),
    *,
    orders: bool = True,
) -> None:
    if once:
        raise UsageError("--once is for people; programs ask `trader ls` and `order list`.")
    mesh = shell.mesh
    watch = (
        mesh.orders.watch(*ids, instrument_ids=instruments) if orders else mesh.traders.watch(*ids)
    )
    with suppress(asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(seconds):
            await print_events(watch)
