"""``meshctl md``: subscriptions and their recording."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.channels import channel_text
from meshclient.cli.base import Shell, command
from meshclient.cli.md import FeedId
from meshclient.cli.md import app as app  # these commands are added to it
from meshclient.cli.output import moment
from meshclient.client import MeshClient
from meshclient.errors import UsageError
from meshclient.watching import Watch

Channels = Annotated[
    list[str],
    typer.Argument(
        help="INSTRUMENT:KIND[,KIND…] such as BTCUSDT.BINANCE:quotes,trades, or a bar type.",
        metavar="CHANNEL",
    ),
]
SubscriptionId = Annotated[
    str,
    typer.Argument(help="Subscription id, its first digits, or `last`.", metavar="SUBSCRIPTION"),
]
_ANSWER = 5.0  # seconds in which a venue usually says yes or no


@command(app, "subscribe")
async def subscribe(
    shell: Shell,
    feed_id: FeedId,
    channel: Channels,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Every tick, not the newest only.")
    ] = False,
    record: Annotated[bool, typer.Option("--record", help="Write it to the catalog, too.")] = False,
    idle: Annotated[
        float | None, typer.Option(min=5, help="Remove it when unwatched for so many seconds.")
    ] = None,
) -> None:
    """Subscribe to channels of a feed; the subscription stays until it is removed."""
    made = await shell.mesh.market_data.subscribe(
        feed_id,
        *channel,
        lossless=lossless,
        idle_timeout=None if idle is None else timedelta(seconds=idle),
    )
    if record:
        made = await shell.mesh.market_data.record(made.subscription_id)
    _show(shell, await settled(shell.mesh, made))


async def settled(mesh: MeshClient, made: pb.Subscription) -> pb.Subscription:
    """Return a subscription when no item is PENDING any more, or after a few seconds."""
    try:
        async with asyncio.timeout(_ANSWER), mesh.market_data.watch(made.subscription_id) as watch:
            await _answered(watch, len(made.items))
    except TimeoutError:
        pass  # the venue takes its time: the items say PENDING
    return await mesh.market_data.get(made.subscription_id)


async def _answered(watch: Watch, count: int) -> None:
    """Take items until each of ``count`` channels has been accepted or refused."""
    answered = set()
    async for item in watch:
        state = item.item if isinstance(item, pb.MarketDataSnapshot) else item
        if isinstance(state, pb.SubscriptionItem) and state.state != pb.ITEM_STATE_PENDING:
            answered.add(channel_text(state.channel))
        if len(answered) >= count:
            return


def _show(shell: Shell, each: pb.Subscription) -> None:
    if shell.out.as_json:
        shell.out.json(each)
        return
    shell.out.say(f"subscription {each.subscription_id}  {_manner(each)}")
    shell.out.table(["channel", "state", ""], items(each.items), whole=["channel"])
    shell.out.note(f"meshctl md watch {each.subscription_id[:8]}")


def items(found: Sequence[pb.SubscriptionItem]) -> list[tuple[str, str, str]]:
    """Return channel, state and reason of each item."""
    return [
        (
            channel_text(each.channel),
            pb.ItemState.Name(each.state).removeprefix("ITEM_STATE_").lower(),
            f"{each.reason} {each.message}".strip(),
        )
        for each in found
    ]


def _manner(each: pb.Subscription) -> str:
    delivery = "lossless" if each.delivery == pb.DELIVERY_LOSSLESS else "conflated"
    return f"{delivery}, recording" if each.recording else delivery


@command(app, "subscriptions")
async def subscriptions(
    shell: Shell,
    feed_id: Annotated[str, typer.Option("--feed", help="Only those of a feed.")] = "",
) -> None:
    """List the subscriptions, the newest first."""
    found = await shell.mesh.market_data.list(feed_id=feed_id)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.subscription_id[:8],
            each.feed_id,
            _channels(each),
            _manner(each),
            each.watchers,
            moment(each.meta.create_time)[:16],
        )
        for each in found
    ]
    shell.out.table(
        ["id", "feed", "channels", "manner", "watchers", "since (UTC)"],
        rows,
        right=["watchers"],
        whole=["id", "feed", "since (UTC)"],
        empty="No subscriptions. `meshctl md subscribe FEED CHANNEL` makes one.",
    )


def _channels(each: pb.Subscription) -> str:
    names = [channel_text(item.channel) for item in each.items]
    failed = sum(item.state == pb.ITEM_STATE_FAILED for item in each.items)
    shown = " ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} ({failed} failed)" if failed else shown


@command(app, "unsubscribe")
async def unsubscribe(shell: Shell, subscription: SubscriptionId) -> None:
    """End a subscription."""
    found = await shell.mesh.market_data.find(subscription)
    await shell.mesh.market_data.delete(found)
    if shell.out.as_json:
        shell.out.json({"subscription_id": found})
    else:
        shell.out.say(f"{found} removed")


@command(app, "record")
async def record(
    shell: Shell,
    subscription: SubscriptionId,
    switch: Annotated[str, typer.Argument(help="on or off.", metavar="on|off")],
) -> None:
    """Write a subscription's data to the catalog, or stop that."""
    if switch not in ("on", "off"):
        raise UsageError(f"Say on or off, not '{switch}'.")
    found = await shell.mesh.market_data.find(subscription)
    each = await shell.mesh.market_data.record(found, switch == "on")
    if shell.out.as_json:
        shell.out.json(each)
    elif switch == "on":
        shell.out.say(f"recording {_channels(each)}")
        shell.out.note("meshctl data ls shows what is there")
    else:
        shell.out.say("recorded; everything received so far is in the catalog")
