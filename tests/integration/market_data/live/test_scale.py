"""Many watchers, many channels, slow readers: case MD-25."""

import asyncio
import os
from dataclasses import replace

import psutil

from integration.market_data.live.conftest import QUICK, Live, Open, quotes, until
from mesh.marketdata.v1 import live_pb2 as pb
from services.market_data.live.log import Bounds

MB = 2**20


async def test_md25_one_process_for_fifty_watchers(live: Live) -> None:
    """MD-25a: fifty watchers of twenty-five subscriptions make one process with each channel
    opened once, and each gets every row.
    """
    await live.feed()
    names = [f"S{i}.SIM" for i in range(5)]
    subscriptions = [await live.subscribe(quotes(*names)) for _ in range(25)]
    readings = [live.watch(id_, columns=n % 2 == 0) for n, id_ in enumerate(subscriptions * 2)]
    for reading in readings:
        await reading.message()
    script = await live.venue.script()
    assert (await script.do("look"))["open"] == sorted(names)
    feed = await live.get_feed()
    assert (feed.channels, feed.subscriptions, feed.watchers) == (5, 25, 50)
    await script.play(*names, rows=20, batches=10)
    for reading in readings:
        await reading.rows(1_000)
        assert all(reading.numbers(name) == list(range(200)) for name in names)
        reading.call.cancel()
    assert len(live.venue.scripts) == 1
    await until(lambda: _watchers(live, 0))


async def _watchers(live: Live, count: int) -> bool:
    return (await live.get_feed()).watchers == count


async def test_md25_a_slow_reader_is_told_and_harms_nobody(open_live: Open) -> None:
    """MD-25b: a reader that stops reading loses rows as one SLOW_READER gap with a snapshot, then
    goes on; a fast one beside it loses none, and memory is that of the rings.
    """
    live = await open_live(replace(QUICK, bounds=Bounds(channel_bytes=4 * MB, feed_bytes=8 * MB)))
    await live.feed()
    subscription = await live.subscribe(quotes("A.SIM"))
    script = await live.venue.script()
    slow, fast = live.watch(subscription, columns=True), live.watch(subscription, columns=True)
    await slow.message()
    await fast.message()
    before = psutil.Process(os.getpid()).memory_info().rss
    count = 0
    playing = asyncio.create_task(script.play("A.SIM", rows=500, batches=2_000))  # 48 MB
    while count < 1_000_000:
        message = await fast.message()
        for item in message.items:
            assert item.HasField("batch")
            count += item.batch.rows
        fast.items.clear()
        fast.messages.clear()
    await playing
    assert psutil.Process(os.getpid()).memory_info().rss - before < 40 * MB
    await slow.until(lambda r: len(r.snapshots()) == 2)
    await script.play("A.SIM", rows=2)
    await slow.until(lambda r: r.items[-1].batch.rows == 2)
    assert slow.gaps() == ["SLOW_READER"]
    order = slow.order()
    at = order.index("gap")
    assert order[:at] == ["snapshot", *map(str, range(at - 1))]  # up to the gap without a hole
    assert at < 900_000
    shown = slow.snapshots()[-1].latest.quote
    first = round(float(shown.bid_price) * 100) + 1
    assert order[at + 1 :] == ["snapshot", *map(str, range(first, 1_000_002))]  # and after it


async def test_md25_a_thousand_channels_and_a_bad_one(live: Live) -> None:
    """MD-25c: a thousand channels are served at once; a bad item among them fails alone, with the
    reason, and the others go on.
    """
    await live.feed()
    names = [f"S{i:03d}.SIM" for i in range(1_000)]
    names[50] = "UNKNOWN.SIM"
    subscription = await live.subscribe(quotes(*names))
    items = {i.channel.instrument_id: i for i in (await live.get(subscription)).items}
    bad = items.pop("UNKNOWN.SIM")
    assert (bad.state, bad.reason) == (pb.ITEM_STATE_FAILED, "INSTRUMENT_NOT_AT_VENUE")
    assert bad.message
    assert {i.state for i in items.values()} == {pb.ITEM_STATE_LIVE}
    reading = live.watch(subscription, columns=True)
    await reading.message()
    assert len(reading.snapshots()) == 1_000
    script = await live.venue.script()
    await script.play(*items, rows=1, batches=2)
    await reading.rows(1_998)
    assert all(reading.numbers(name) == [0, 1] for name in list(items)[::100])
