"""The whole way, from Nautilus' Binance adapter to the catalog and a backtest: case MD-95."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import pyarrow as pa
import pytest

from integration.failures import unpack
from integration.market_data.conftest import new_id
from integration.market_data.live.conftest import (  # noqa: F401 - fixtures
    Live,
    Open,
    Reading,
    open_live,
    until,
    venue,
)
from mesh.common.v1.types_pb2 import TimeRange
from mesh.marketdata.v1 import feed_service_pb2 as feed_rpc
from mesh.marketdata.v1 import history_job_service_pb2 as job_rpc
from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as data_rpc
from mesh.marketdata.v1 import marketdata_pb2
from mesh.marketdata.v1.history_job_service_pb2_grpc import HistoryJobServiceStub
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from meshkit.channel import channel
from meshkit.times import to_nanos, to_timestamp
from services.market_data.live.serving import starter
from services.market_data.live.venues import Venues
from services.market_data.main import HISTORY, HISTORY_JOBS
from simulators.binance.venue import Binance

ID = "BTCUSDT.BINANCE"
BARS = f"{ID}-1-MINUTE-LAST-EXTERNAL"
MILLI = 10**6


def kind(name: str) -> Any:
    """Return a kind of data."""
    return marketdata_pb2.DataKind.Value(f"DATA_KIND_{name}")


@pytest.fixture
async def exchange() -> AsyncIterator[Binance]:
    """Give a simulated Binance."""
    async with Binance() as simulated:
        yield simulated


class Recorded:
    """A service that records a subscription to the simulated Binance."""

    def __init__(self, live: Live, history: Any, jobs: Any) -> None:
        self.live, self.history, self.jobs = live, history, jobs

    async def record(self, *channels: pb.Channel) -> str:
        """Subscribe and record; returns the subscription when all items are live."""
        subscription = await self.live.subscribe(channels)
        await self.live.data.StartRecording(
            data_rpc.StartRecordingRequest(request_id=new_id(), subscription_id=subscription)
        )
        await self.ready(subscription)
        return subscription

    async def ready(self, subscription: str) -> None:
        """Wait until all items are live."""

        async def look() -> bool:
            items = (await self.live.get(subscription)).items
            return all(item.state == pb.ITEM_STATE_LIVE for item in items)

        await until(look)

    async def read(self, name: str) -> pa.Table:
        """Read what is stored of the instrument."""
        request = rpc.ReadHistoryRequest(
            selection=marketdata_pb2.DataSelection(kind=kind(name), instrument_id=ID)
        )
        data = b"".join([m.chunk.data async for m in self.history.ReadHistory(request)])
        return pa.ipc.open_stream(data).read_all()

    async def trade_ids(self) -> list[int]:
        """Return the ids of the trades that are stored."""
        return ids_of(await self.read("TRADE_TICK"))

    async def missed(self, name: str) -> list[Any]:
        """Return the recorded gaps of a kind."""
        request = rpc.GetCoverageRequest(kind=kind(name), instrument_id=ID)
        return list((await self.history.GetCoverage(request)).recorded_gaps)


def ids_of(trades: pa.Table) -> list[int]:
    """Return the ids of trades."""
    return [int(each) for each in trades["trade_id"].to_pylist()]


type Begin = Any


@pytest.fixture
async def begin(open_live: Open, exchange: Binance, tmp_path: Path) -> Begin:  # noqa: F811
    """Give a function that starts a life of the service; its feed is made by the first."""

    async def one(first: bool = True) -> Recorded:
        venues = Venues()
        live = await open_live(
            venues=venues,
            start=starter(venues, tmp_path / "logs", os.environ),
            journal=tmp_path / "journal",
        )
        if first:
            config = exchange.client("spot")
            request = feed_rpc.CreateFeedRequest(
                request_id=new_id(), feed_id="sim", venue="BINANCE", config_json=json.dumps(config)
            )
            await live.feeds.CreateFeed(request)
        token = live.signer.token("data.read", "data.write")
        to = await live.stack.enter_async_context(
            channel(live.config.listen, HISTORY, HISTORY_JOBS, token=token)
        )
        return Recorded(live, HistoryServiceStub(to), HistoryJobServiceStub(to))

    return one


QUOTES = pb.Channel(kind=kind("QUOTE_TICK"), instrument_id=ID)
TRADES = pb.Channel(kind=kind("TRADE_TICK"), instrument_id=ID)
BOOK = pb.Channel(kind=kind("ORDER_BOOK_DELTA"), instrument_id=ID)


async def test_md95_what_the_venue_sends_is_recorded(begin: Begin, exchange: Binance) -> None:
    """MD-95a: quotes and trades row for row, a book that begins with its snapshot also when it was
    open before; instruments come from the venue; readable at once, and a backtest runs on it.
    """
    recorded = await begin()
    await recorded.live.subscribe([BOOK])
    await recorded.record(QUOTES, TRADES, BOOK)
    for _ in range(200):
        exchange.quote("spot", "BTCUSDT")
        exchange.trade("spot", "BTCUSDT")
        await asyncio.sleep(0)
    sent = [e.row for e in exchange.events if e.kind == "quote"][-200:]
    quotes = await until(lambda: _enough(recorded, "QUOTE_TICK", 200))
    assert [str(p) for p in quotes["bid_price"].to_pylist()] == [_sixteen(r["b"]) for r in sent]
    assert [str(p) for p in quotes["ask_size"].to_pylist()] == [_sixteen(r["A"]) for r in sent]
    there = exchange._market("spot", "BTCUSDT").trades.aggregated
    await until(lambda: _enough(recorded, "TRADE_TICK", 200))
    assert await recorded.trade_ids() == [each.id for each in there[-200:]]
    book = (await until(lambda: _enough(recorded, "ORDER_BOOK_DELTA", 50))).to_pylist()
    assert (book[0]["action"], book[1]["action"]) == (4, 1)


async def _enough(recorded: Recorded, name: str, rows: int) -> Any:
    """Return what is stored once that is so many rows; before the first there is NO_DATA."""
    try:
        table = await recorded.read(name)
    except grpc.aio.AioRpcError as error:
        if unpack(error).reason != "NO_DATA":
            raise
        return None
    return table if table.num_rows >= rows else None


def _sixteen(text: str) -> str:
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(16, '0')}"


async def test_md95_no_hole_in_trades(begin: Begin, exchange: Binance) -> None:
    """MD-95b: a dropped connection, a killed feed, a restarted service: every trade of the venue
    since the recording began is there once, and what was missed of quotes is said.
    """
    recorded = await begin()
    subscription = await recorded.record(QUOTES, TRADES)
    there = exchange._market("spot", "BTCUSDT").trades.aggregated
    first = len(there)

    def trades(count: int) -> None:
        for _ in range(count):
            exchange.trade("spot", "BTCUSDT")
            exchange.quote("spot", "BTCUSDT")

    async def whole() -> bool:
        stored = await _enough(recorded, "TRADE_TICK", 1)
        return stored is not None and sorted(ids_of(stored)) == [each.id for each in there[first:]]

    trades(20)
    await until(whole)
    exchange.drop(abruptly=True)
    trades(20)  # nobody hears
    await until(lambda: _gap_said(recorded, "VENUE_DISCONNECTED"))
    await recorded.ready(subscription)
    trades(20)
    await until(whole)
    os.kill(_process(), signal.SIGKILL)
    trades(20)
    await until(lambda: _restarted(recorded))
    await recorded.ready(subscription)
    trades(20)
    await until(whole)
    await recorded.live.stack.aclose()
    trades(20)
    recorded = await begin(first=False)
    await recorded.ready(subscription)
    trades(20)
    await until(whole)
    causes = [pb.GapCause.Name(gap.cause) for gap in await recorded.missed("QUOTE_TICK")]
    assert "GAP_CAUSE_VENUE_DISCONNECTED" in causes
    assert causes.count("GAP_CAUSE_FEED_RESTARTED") == 2
    assert all(gap.filled for gap in await recorded.missed("TRADE_TICK"))


async def _gap_said(recorded: Recorded, cause: str) -> bool:
    gaps = await recorded.missed("TRADE_TICK")
    return f"GAP_CAUSE_{cause}" in [pb.GapCause.Name(gap.cause) for gap in gaps]


async def _restarted(recorded: Recorded) -> bool:
    return (await recorded.live.get_feed()).starts == 2


def _process() -> int:
    """Return the process of the feed: the only one that this process has of the kind."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"services.market_data.engine.feed" in command and int(parent) == os.getpid():
            return int(entry.name)
    raise AssertionError("there is no process of a feed")


async def test_md95_no_hole_at_the_seam(begin: Begin, exchange: Binance) -> None:
    """MD-95d: a client that watches, and then reads history up to the snapshot, has every trade
    once; so has one that comes while much is going on.
    """
    recorded = await begin()
    subscription = await recorded.record(TRADES)
    there = exchange._market("spot", "BTCUSDT").trades.aggregated
    first = len(there)

    async def play() -> None:
        for _ in range(2_000):
            exchange.trade("spot", "BTCUSDT")
            await asyncio.sleep(0.001)

    async def client() -> None:
        reading = recorded.live.watch(subscription)
        await reading.message()
        snapshot = reading.snapshots()[0].latest
        before = [
            int(row["trade_id"])
            for row in (await recorded.read("TRADE_TICK")).to_pylist()
            if row["ts_init"].value <= to_nanos(snapshot.init_time)
        ]
        await reading.until(lambda r: _ids(r)[-1:] == [there[-1].id] and playing.done())
        after = _ids(reading)
        assert before[-1] == int(snapshot.trade.trade_id)
        assert [*before, *after] == [each.id for each in there[first:]]
        reading.call.cancel()

    playing = asyncio.create_task(play())
    await until(lambda: _enough(recorded, "TRADE_TICK", 20))
    await asyncio.gather(*(client() for _ in range(3)))


def _ids(reading: Reading) -> list[int]:
    found = [item.update.trade.trade_id for item in reading.items if item.HasField("update")]
    return [int(each) for each in found]


@pytest.mark.long
async def test_md95_history_of_a_venue(begin: Begin, exchange: Binance) -> None:
    """MD-95c: a job fetches the trades and bars of a range exactly, through HTTP 429 as well."""
    recorded = await begin()
    await recorded.live.subscribe([QUOTES])
    market = exchange._market("spot", "BTCUSDT")
    end = exchange.clock.now() - 60_000
    start = end - 3_600_000
    exchange.fail(429, 2, "/api/v3/aggTrades")
    for what in (TRADES, pb.Channel(kind=kind("BAR"), bar_type=BARS)):
        request = job_rpc.RequestHistoryRequest(
            request_id=new_id(),
            feed_id="sim",
            channel=what,
            range=TimeRange(start=to_timestamp(start * MILLI), end=to_timestamp(end * MILLI)),
        )
        job_id = (await recorded.jobs.RequestHistory(request)).job.history_job_id
        job = await until(partial(_ended, recorded, job_id))
        assert job.state == job_rpc.HISTORY_JOB_STATE_SUCCEEDED, (job.reason, job.message)
        assert job.rows_written > 0
    wanted = [t.id for t in market.trades.aggregated if start <= t.ms < end]
    found = await recorded.trade_ids()
    assert found[: len(wanted)] == wanted
    assert len(found) - len(wanted) <= 1  # times are some ns off their millisecond


async def _ended(recorded: Recorded, job_id: str) -> Any:
    request = job_rpc.GetHistoryJobRequest(history_job_id=job_id)
    job = (await recorded.jobs.GetHistoryJob(request)).job
    return job if job.HasField("end_time") else None
