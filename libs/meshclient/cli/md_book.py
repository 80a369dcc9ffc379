"""``meshctl md book``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Annotated

import typer

from mesh.marketdata.v1 import live_pb2
from meshclient.cli.base import Shell, command
from meshclient.cli.ladder import ladder
from meshclient.cli.md import FeedId
from meshclient.cli.md import app as app  # this command is added to it
from meshclient.cli.md_subscriptions import settled
from meshclient.cli.screen import Screen
from meshclient.errors import MeshClientError, UsageError
from meshclient.watching import LiveItem

_IDLE = timedelta(seconds=60)
_PICTURE_SECONDS = 0.5


@command(app, "book")
async def book(
    shell: Shell,
    feed_id: FeedId,
    instrument: Annotated[str, typer.Argument(help="Instrument id.")],
    levels: Annotated[int, typer.Option(min=1, help="Levels of each side.")] = 10,
    buy: Annotated[str, typer.Option(help="Ask what buying this quantity would cost.")] = "",
    sell: Annotated[str, typer.Option(help="Ask what selling this quantity would bring.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show the best levels of an order book, or what a trade would meet in it."""
    if buy and sell:
        raise UsageError("Ask about --buy or --sell, one at a time.")
    async with _open(shell, feed_id, instrument):
        if buy or sell:
            side = "buy" if buy else "sell"
            await _prices(shell, feed_id, instrument, side, buy or sell)
        elif watch and not shell.out.as_json:
            with suppress(asyncio.CancelledError):  # Ctrl-C
                await _follow(shell, feed_id, instrument, levels)
        else:
            reply = await shell.mesh.market_data.book(feed_id, instrument, levels=levels)
            if shell.out.as_json:
                shell.out.json(reply)
            else:
                shell.out.console.print(ladder(instrument, reply))


async def _follow(shell: Shell, feed_id: str, instrument: str, levels: int) -> None:
    with Screen(shell.out.console) as screen:
        while True:
            reply = await shell.mesh.market_data.book(feed_id, instrument, levels=levels)
            screen.paint(ladder(instrument, reply))
            await asyncio.sleep(_PICTURE_SECONDS)


async def _prices(shell: Shell, feed_id: str, instrument: str, side: str, quantity: str) -> None:
    reply = await shell.mesh.market_data.book_prices(feed_id, instrument, side, quantity=quantity)
    if shell.out.as_json:
        shell.out.json(reply)
        return
    shell.out.fields(
        [
            (side, f"{quantity} {instrument}"),
            ("average price", reply.average_price),
            ("worst price", reply.worst_price),
            ("quantity there", reply.fillable_quantity),
        ]
    )


@asynccontextmanager
async def _open(shell: Shell, feed_id: str, instrument: str) -> AsyncIterator[None]:
    """Subscribe to the book while it is looked at, unless somebody has it open."""
    try:
        await shell.mesh.market_data.book(feed_id, instrument, levels=1)
    except MeshClientError as error:
        if error.reason != "CHANNEL_NOT_OPEN":
            raise
    else:
        yield
        return
    data = shell.mesh.market_data
    made = await data.subscribe(feed_id, f"{instrument}:deltas", idle_timeout=_IDLE)
    try:
        await _filled(shell, made.subscription_id)
        yield
    finally:
        with suppress(MeshClientError):  # it goes by itself when nobody watches it
            await data.delete(made.subscription_id)


async def _filled(shell: Shell, subscription_id: str) -> None:
    """Wait until the book has levels; raise what the venue said when it refused."""
    found = await settled(shell.mesh, await shell.mesh.market_data.get(subscription_id))
    if refused := found.items[0].reason:
        told = found.items[0].message
        raise MeshClientError(told, code="FAILED_PRECONDITION", reason=refused)
    with suppress(TimeoutError):
        async with asyncio.timeout(5), shell.mesh.market_data.watch(subscription_id) as watching:
            async for item in watching:
                if _book_of(item).bids:
                    return


def _book_of(item: LiveItem) -> live_pb2.OrderBook:
    update = item.latest if isinstance(item, live_pb2.MarketDataSnapshot) else item
    if isinstance(update, live_pb2.MarketDataUpdate):
        return update.order_book
    return live_pb2.OrderBook()
