"""MD-75: a recording through kills of the whole service, through the whole mesh."""

import pytest

from chaos.live.breaking import kill_service
from chaos.live.ledger import Rows
from chaos.live.readers import LISTED, Reader, reading
from chaos.live.scene import ended, feed_of_a_venue, flowing, opened, send
from meshclient.data import selection
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

BTC = "BTCUSDT.BINANCE"
QUOTES, TRADES = f"{BTC}:quotes", f"{BTC}:trades"


async def test_md75_a_recording_survives_kills_of_the_service(live_mesh: RunningMesh) -> None:
    """MD-75: after two kill -9 of the service while it records, every row that a watcher saw is
    stored, no row twice; the trades of the outages were fetched from the venue, so none lacks.
    """
    async with feed_of_a_venue(live_mesh, "recorded") as at:
        made = await at.client.market_data.subscribe(at.feed_id, QUOTES, TRADES, lossless=True)
        reader = Reader(at.client, made)
        async with reading([reader]):
            await opened(at, 2)
            await at.client.market_data.record(made.subscription_id)
            await send(at)
            await flowing(at, [reader], "the first ticks", 5)
            for _ in range(2):
                await kill_service(at)
                await flowing(at, [reader], "ticks after a kill", 20)
            last = await ended(at, [reader])
        await at.client.market_data.record(made.subscription_id, on=False)
        for job in await at.client.history_jobs.list():
            await at.client.history_jobs.wait(job.history_job_id)
        quotes = await at.client.data.read(selection(BTC, "quotes"), columns=["bid_size"])
        trades = await at.client.data.read(selection(BTC, "trades"), columns=["trade_id"])
    symbol = LISTED["BTCUSDT"]
    numbers = [symbol.lots(f"{size:f}") for size in quotes["bid_size"].to_pylist()]
    assert _seen(reader, QUOTES) <= set(numbers)
    assert len(set(numbers)) == len(numbers)
    ids = sorted(int(text) for text in trades["trade_id"].to_pylist())
    assert _seen(reader, TRADES) <= set(ids)
    assert ids == list(range(ids[0], last[TRADES] + 1))
    assert reader.causes() == {"FEED_RESTARTED"}


def _seen(reader: Reader, name: str) -> set[int]:
    """Return the numbers of the rows that a reader got."""
    rows = [each for each in reader.told[name].told if isinstance(each, Rows)]
    return {number for each in rows for number in range(each.first, each.last + 1)}
