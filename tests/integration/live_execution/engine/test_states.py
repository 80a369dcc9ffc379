"""EX-44 to EX-49: what a trader says of itself, from its start to its end and over restarts."""

from collections.abc import Sequence

from integration.live_execution.engine.bench import Bench, ticket
from integration.live_execution.engine.conftest import Trading
from integration.live_execution.engine.test_gate import halt
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.events_pb2 import FlattenDone, TraderFact
from mesh.execution.v1.order_pb2 import FlattenCommand, TraderCommand
from services.live_execution.trader.ports import Standing


def states(facts: Sequence[TraderFact]) -> list[str]:
    """Return the bare states that were told, in order."""
    found = [f.trader.trader.state for f in facts if f.HasField("trader")]
    return [pb.TraderState.Name(state).removeprefix("TRADER_STATE_") for state in found]


async def test_life(run_trader: Trading) -> None:
    """EX-44: a trader starts, reconciles, runs, drains and stops, and says so each time once."""
    async with run_trader() as trader:
        facts = trader.outside.facts
        told = await trader.state(pb.TRADER_STATE_RUNNING)
        assert (told.trader_id, told.reason, list(told.restrictions)) == ("T-001", "", [])
        assert told.process.fence == 1
        assert told.process.pid > 0
    assert states(facts) == ["STARTING", "RECONCILING", "RUNNING", "DRAINING", "STOPPED"]


async def test_restart(run_trader: Trading) -> None:
    """EX-45: balances, positions, resting and emulated orders are those of before a restart."""
    resting = ticket(type="LIMIT", price="49000")
    held = ticket(type="STOP_MARKET", trigger_price="50100", emulation_trigger="BID_ASK")
    async with run_trader() as first:
        await first.submit(ticket(quantity="2"))
        await first.submit(resting)
        await first.submit(held)
        before = first.cache.accounts()[0].last_event.balances
    async with run_trader() as second:
        assert second.net() == "2.000000"
        assert second.cache.accounts()[0].last_event.balances == before
        assert second.events(resting.client_order_id) == ["INITIALIZED", "SUBMITTED", "ACCEPTED"]
        await second.quote(50099, 50101)
        assert second.events(held.client_order_id)[-1] == "FILLED"
        await second.quote(48990, 48999)
        assert second.events(resting.client_order_id)[-1] == "FILLED"
        assert second.net() == "4.000000"


async def test_halted(trader: Bench) -> None:
    """EX-46: a halt of the whole is HALTED, of a venue or strategy DEGRADED, with restrictions."""
    trader.outside.halt(halt("venue:BINANCE"))
    told = await trader.state(pb.TRADER_STATE_DEGRADED)
    assert (told.reason, list(told.halt_ids)) == ("HALTED", ["H-venue:BINANCE"])
    assert list(told.restrictions) == ["no orders at BINANCE: halt H-venue:BINANCE"]
    trader.outside.halt(halt("venue:BINANCE"), halt("trader:T-001", reducing=True))
    told = await trader.state(pb.TRADER_STATE_HALTED)
    assert told.restrictions[1].startswith("only orders that reduce positions")
    trader.outside.halt()
    told = await trader.state(pb.TRADER_STATE_RUNNING)
    assert not told.halt_ids


async def test_flatten(trader: Bench) -> None:
    """EX-47: a halt that flattens cancels and closes once; a command of its id is told the same."""
    await trader.submit(ticket(quantity="2"))
    resting = ticket(type="LIMIT", price="49000")
    await trader.submit(resting)
    wanted = halt("all", flatten="F-1")
    trader.outside.halt(wanted)
    trader.outside.halt(wanted, halt("venue:BINANCE"))
    done = await trader.outside.until(lambda facts: flattened(facts, 1))
    assert (done.flatten_id, done.flat) == ("F-1", True)
    assert float(trader.net()) == 0
    assert trader.events(resting.client_order_id)[-1] == "CANCELED"
    await trader.command(TraderCommand(flatten=FlattenCommand(flatten_id="F-1")))
    again = await trader.outside.until(lambda facts: flattened(facts, 2))
    assert again == done


def flattened(facts: Sequence[TraderFact], count: int) -> FlattenDone | None:
    """Return the last of so many ends of flattens."""
    found = [f.flatten for f in facts if f.HasField("flatten")]
    return found[-1] if len(found) == count else None


async def test_degraded(trader: Bench) -> None:
    """EX-48: a lease that has ended, and stores out of reach, are told with what is not done."""
    trader.outside.stand(Standing("AWAY", False, True))
    told = await trader.state(pb.TRADER_STATE_DEGRADED)
    assert told.reason == "LEASE_LOST"
    assert told.restrictions[0].startswith("no new or increasing orders")
    trader.outside.stand(Standing("HELD", True, False))
    told = await trader.outside.until(
        lambda facts: next((f.trader.trader for f in facts if is_away(f)), None)
    )
    assert "Redis" in told.message
    trader.outside.stand(Standing("HELD", True, True))
    await trader.outside.until(lambda facts: states(facts)[-1] == "RUNNING" or None)


def is_away(fact: TraderFact) -> bool:
    """Whether a fact tells that a store is out of reach."""
    return fact.HasField("trader") and fact.trader.trader.reason == "SERVICE_UNAVAILABLE"


async def test_marks(trader: Bench) -> None:
    """EX-49: what is held is marked, and again when its price has changed."""
    await trader.submit(ticket())
    assert [f for f in trader.outside.facts if f.HasField("marks")], "at once"
    first = await trader.outside.until(lambda facts: mark(facts, "50000.00"))
    assert first == "50000.00/50001.00"
    await trader.quote(50010, 50011)
    assert await trader.outside.until(lambda facts: mark(facts, "50010.00"))


def mark(facts: Sequence[TraderFact], bid: str) -> str | None:
    """Return bid and ask of a mark with this bid."""
    found = (m for f in facts if f.HasField("marks") for m in f.marks.marks if m.bid == bid)
    return next((f"{each.bid}/{each.ask}" for each in found), None)
