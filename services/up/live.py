"""The sample as a live source: a replay that loops, and a look at its quotes."""

import json
from datetime import timedelta

from meshclient.cli.live import LINES_CONFLATE, TABLE_CONFLATE, LiveShow
from meshclient.cli.output import Output
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from services.market_data import sample

FEED = "sample-replay"
CHANNELS = (
    f"{sample.EURUSD}:quotes",
    f"{sample.BTCUSDT}:trades",
    f"{sample.EURUSD}-10-SECOND-MID-INTERNAL",
)
"""What the first start shows: ticks, and bars that the feed makes of them."""
CONFIG = {
    "instruments": [sample.USDJPY, sample.EURUSD, sample.BTCUSDT],
    "start": "2024-01-01T00:00:00Z",
    "end": "2024-01-01T10:00:00Z",  # until then every instrument has ticks
    "speed": 10,
    "loop": True,
}
SECONDS = 6.0
"""How long the first start shows quotes."""
IDLE = timedelta(seconds=5)


async def ensure_feed(mesh: MeshClient) -> None:
    """Make the replay unless it is there. It costs nothing until somebody subscribes."""
    await mesh.feeds.ensure(FEED, "REPLAY", CONFIG)


async def show_live(mesh: MeshClient) -> None:
    """Show some seconds of live quotes; nothing stays open after it."""
    out = Output(as_json=False)
    made = await mesh.market_data.subscribe(
        FEED,
        *CHANNELS,
        conflate=TABLE_CONFLATE if out.console.is_terminal else LINES_CONFLATE,
        idle_timeout=IDLE,
    )
    try:
        await LiveShow(mesh, out, [made]).run(SECONDS)
    finally:
        await mesh.market_data.delete(made.subscription_id)
    await _rest(mesh)


async def _rest(mesh: MeshClient) -> None:
    """End the replay's process, which would wait a minute for others, and begin it anew.

    Only what we made ourselves and nobody uses; whoever is quicker keeps it as it is.
    """
    feed = await mesh.feeds.get(FEED)
    if json.loads(feed.config_json or "{}") != CONFIG or feed.subscriptions:
        return
    try:
        await mesh.feeds.delete(FEED)
    except MeshClientError as error:
        if error.reason != "FEED_IN_USE":
            raise
    await ensure_feed(mesh)
