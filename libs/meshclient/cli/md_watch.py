"""``meshctl md watch``."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Annotated

import typer

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.cli.base import Shell, command
from meshclient.cli.live import (
    LINES_CONFLATE,
    START_SECONDS,
    TABLE_CONFLATE,
    LiveShow,
    print_json,
)
from meshclient.cli.md import app as app  # this command is added to it
from meshclient.cli.md_subscriptions import Channels
from meshclient.errors import MeshClientError, UsageError

_IDLE = timedelta(seconds=60)
"""Life of a subscription of ours that could not be removed, because we were killed."""


@command(app, "watch")
async def watch(
    shell: Shell,
    what: Annotated[
        str,
        typer.Argument(
            help="A feed with channels; a feed, for all its subscriptions; or a subscription.",
            metavar="FEED|SUBSCRIPTION",
        ),
    ],
    channel: Channels = [],  # noqa: B006 # Typer's way to say that there may be none
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Every tick, not the newest only.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Show the state once, and end.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="End so many seconds after the first data.")
    ] = None,
) -> None:
    """Watch live data: a live table; lines when piped; with --json one object a line.

    Without a subscription one is made for as long as it is watched. Ctrl-C ends.
    """
    async with _found(shell, what, channel, lossless) as found:
        with suppress(asyncio.CancelledError):  # Ctrl-C is how a watch is meant to end
            await _show(shell, found, once, seconds)


async def _show(
    shell: Shell, found: Sequence[pb.Subscription], once: bool, seconds: float | None
) -> None:
    if shell.out.as_json:
        ids = [each.subscription_id for each in found]
        wanted = [item.channel for each in found for item in each.items]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds or (START_SECONDS if once else None)):
                await print_json(shell.mesh.market_data.watch(*ids), wanted, once=once)
    elif once:
        await LiveShow(shell.mesh, shell.out, found).once(seconds or START_SECONDS)
    else:
        await LiveShow(shell.mesh, shell.out, found).run(seconds)


@asynccontextmanager
async def _found(
    shell: Shell, what: str, channel: Sequence[str], lossless: bool
) -> AsyncIterator[list[pb.Subscription]]:
    """Give the subscriptions that are meant; one that is made here is removed at the end."""
    data = shell.mesh.market_data
    if not channel:
        yield await _existing(shell, what)
        return
    made = await data.subscribe(
        what,
        *channel,
        lossless=lossless,
        conflate=TABLE_CONFLATE if shell.out.console.is_terminal else LINES_CONFLATE,
        idle_timeout=_IDLE,
    )
    try:
        yield [made]
    finally:
        with suppress(MeshClientError):  # it goes by itself when nobody watches it
            await data.delete(made.subscription_id)


async def _existing(shell: Shell, what: str) -> list[pb.Subscription]:
    """Return all subscriptions of a feed, or the one subscription that is meant."""
    data = shell.mesh.market_data
    if what in {feed.feed_id for feed in await shell.mesh.feeds.list()}:
        found = await data.list(feed_id=what, limit=100)
        if not found:
            raise UsageError(
                f"Nobody has subscribed to {what}: name channels, such as INSTRUMENT:quotes. "
                f"`meshctl md instruments {what}` lists what there is."
            )
        return found
    try:
        return [await data.get(await data.find(what))]
    except MeshClientError as error:
        if error.reason != "SUBSCRIPTION_NOT_FOUND":
            raise
        error.message = f"No feed is '{what}', and no subscription begins so."
        raise
