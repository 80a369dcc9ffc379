"""Known ranges of a series in the database."""

from integration.market_data.recording.conftest import OWNER, PROJECT, Lab
from integration.market_data.recording.rows import channel_of
from services.market_data.live.recording.taking import series_of
from services.market_data.ranges import RangeStore

TRADES = series_of(channel_of("TRADE_TICK"))


async def test_ranges_that_touch_are_one(lab: Lab) -> None:
    """Ranges are joined when they touch, and cut where something is taken away."""
    store = RangeStore()
    async with lab.database.transaction() as tx:
        for known in ((10, 20), (30, 40), (50, 60), (41, 49), (5, 4)):
            await store.add(tx, PROJECT, OWNER, TRADES, known)
        assert await store.find(tx, PROJECT, TRADES) == [(10, 20), (30, 60)]
        await store.add(tx, PROJECT, OWNER, TRADES, (0, 35))
        assert await store.find(tx, PROJECT, TRADES) == [(0, 60)]
        await store.remove(tx, PROJECT, OWNER, TRADES, (20, 20))
        await store.remove(tx, PROJECT, OWNER, TRADES, (55, 99))
        assert await store.find(tx, PROJECT, TRADES) == [(0, 19), (21, 54)]
        assert await store.find(tx, PROJECT, TRADES, 54, 60) == [(21, 54)]
        await store.remove(tx, PROJECT, OWNER, TRADES, (0, 2**63 - 1))
        assert not await store.find(tx, PROJECT, TRADES)
