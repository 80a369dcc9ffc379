"""EX-45 on the time of data: a replay goes on exactly where its orders and positions are."""

from collections.abc import AsyncIterator, Sequence

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import QuoteTick

from integration.live_execution.engine.bench import Bench, ticket
from integration.live_execution.engine.conftest import Trading
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.nautilus.data_time import DataTimeNode
from meshkit.times import to_nanos

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
REPLAY = {"replay": {"range": {"start": "2023-11-14T22:13:20Z"}}}


def quotes(bench: Bench, *bids: float) -> list[Data]:
    """Return a quote each second from the second after the trader's time on."""
    make, begin = bench.instrument, bench.trader.kernel.clock.timestamp_ns()
    size = make.make_qty(10)
    return [
        QuoteTick(make.id, make.make_price(bid), make.make_price(bid + 1), size, size, *(2 * (ts,)))
        for bid, ts in zip(bids, range(begin + SECOND, begin + 10**12, SECOND), strict=False)
    ]


async def play(bench: Bench, rows: Sequence[Data]) -> None:
    """Play rows as the mesh's data client does."""
    node = bench.trader.node
    assert isinstance(node, DataTimeNode)

    async def batches() -> AsyncIterator[Sequence[Data]]:
        yield rows

    await node.driver.play(batches(), node.kernel.data_engine.process)


def told(facts: Sequence[TraderFact]) -> list[int]:
    """Return the times that ``ClockMoved`` facts tell, in seconds of the replay."""
    found = [to_nanos(f.clock.ts) for f in facts if f.HasField("clock")]
    return [(each - START) // SECOND for each in found]


async def test_replay(run_trader: Trading) -> None:
    """EX-45: what has had effects is not played again, and nothing is left out."""
    resting = ticket(type="LIMIT", price="49000")
    async with run_trader(data=REPLAY, market=False) as first:
        assert first.trader.kernel.clock.timestamp_ns() == START
        await play(first, quotes(first, 50000))
        await first.submit(ticket())
        await first.submit(resting)
        await play(first, quotes(first, 50000, 48990, 48990, 48990))
        assert first.net() == "2.000000"
        kinds = [f.WhichOneof("fact") for f in first.outside.facts]
        after_fill = kinds[len(kinds) - kinds[::-1].index("order") :]
        assert "clock" in after_fill, "before any later data"
        assert told(first.outside.facts)[-1] == 3
    async with run_trader(data=REPLAY, market=False) as second:
        assert told(second.outside.facts)[-1] == 5, "told as it stopped"
        assert second.trader.kernel.clock.timestamp_ns() == START + 5 * SECOND
        assert second.net() == "2.000000"
        sold = ticket(side="SELL", quantity="2")
        await second.submit(sold)  # the sandbox knows its market of before
        assert second.events(sold.client_order_id)[-1] == "FILLED"
