"""Data of a feed as its watchers get it: cases MD-20 to MD-24."""

from integration.market_data.live.conftest import Live, quotes
from mesh.marketdata.v1 import live_pb2 as pb


async def test_md20_a_watcher_gets_every_row_in_order(live: Live) -> None:
    """MD-20a: snapshot first, then every row of every channel, as objects and as columns."""
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM", "B.SIM"))
    script = await live.venue.script()
    await script.play("A.SIM", rows=3)
    objects, columns = live.watch(subscription), live.watch(subscription, columns=True)
    for reading in (objects, columns):
        first = await reading.message()
        assert first.checkpoint
        assert first.cursor
        found = {s.item.channel.instrument_id: s for s in reading.snapshots()}
        assert found["A.SIM"].latest.quote.bid_price == "0.02"
        assert not found["B.SIM"].HasField("latest")
        assert found["B.SIM"].item.state == pb.ITEM_STATE_LIVE
    await script.play("A.SIM", "B.SIM", rows=100, batches=3)
    for reading in (objects, columns):
        await reading.rows(600)
        assert reading.numbers("A.SIM") == list(range(3, 303))
        assert reading.numbers("B.SIM") == list(range(300))
        assert reading.gaps() == []
