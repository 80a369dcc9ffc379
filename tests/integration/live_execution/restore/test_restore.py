"""The cache of a trader that died, from facts and from a snapshot (EX-126 to EX-131, EX-139)."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.orders import OrderList

from integration.live_execution.restore.busy import (
    BINANCE,
    PERP,
    SECOND,
    SPOT,
    START,
    Busy,
    BusyConfig,
    Kept,
    Scene,
    quotes,
)
from integration.live_execution.restore.comparing import differences, figures_of, state_of
from integration.live_execution.restore.conftest import Played
from integration.live_execution.sandbox.scenes import scene
from mesh.execution.v1 import events_pb2 as pb
from meshkit.times import to_timestamp
from services.live_execution.engine import learning, snapshots
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.restoring import clock_of, restore
from services.live_execution.trader.ports import Restored


@pytest.fixture
def successor() -> Iterator[Scene]:
    """Give an engine that knows nothing yet."""
    scene = Scene()
    yield scene
    scene.close()


def _same_figures(scene: Played, other: Scene) -> None:
    """Compare portfolios; a client sets leverages at its connection, and data the prices."""
    for account in scene.kernel.cache.accounts():
        mine = other.kernel.cache.account(account.id)
        mine.set_default_leverage(account.default_leverage)
        for instrument_id, leverage in account.leverages().items():
            mine.set_leverage(instrument_id, leverage)
    for quote in scene.data[-2:]:
        other.kernel.cache.add_quote_tick(quote)
    expected = figures_of(scene.kernel, BINANCE)
    assert differences(expected, figures_of(other.kernel, BINANCE)) == []


def test_ex_126_the_cache_is_as_it_was(played: Played, successor: Scene) -> None:
    """EX-126: orders with their events, positions, accounts and indexes are equal."""
    restore(successor.kernel, played.kept.restored())
    assert differences(state_of(played.kernel), state_of(successor.kernel)) == []
    assert len(played.kernel.cache.orders()) > 150
    assert successor.kernel.cache.check_integrity()


def test_ex_127_the_portfolio_is_as_it_was(played: Played, successor: Scene) -> None:
    """EX-127: net positions, realised and unrealised profit, margins and balances are equal."""
    restore(successor.kernel, played.kept.restored())
    _same_figures(played, successor)


def test_ex_128_a_snapshot_and_the_facts_after_it_do_as_well(
    played: Played, successor: Scene
) -> None:
    """EX-128: from a snapshot made in the middle, with what followed, all is equal too."""
    memory = restore(successor.kernel, played.kept.restored(played.snapshot, played.number))
    then, now = state_of(played.kernel), state_of(successor.kernel)
    for state in (then, now):
        del state["earlier"]  # in a snapshot they are summed up: the profits are compared below
    assert differences(then, now) == []
    _same_figures(played, successor)
    assert memory.order_counts == played.outside.memory.order_counts  # type: ignore[union-attr]


def test_ex_129_what_a_snapshot_forgets_is_summed_up(
    played: Played, successor: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EX-129: with few closed orders and positions in it, open ones and profits are equal."""
    monkeypatch.setattr(snapshots, "ORDERS", 20)
    monkeypatch.setattr(learning, "POSITIONS", 5)
    memory = _learnt(played.kept)
    body = snapshots.make(played.kernel, memory)
    number = len(played.kept.facts)
    restored = restore(successor.kernel, played.kept.restored(body, number))
    open_then, open_now = (state_of(k, closed=False) for k in (played.kernel, successor.kernel))
    assert differences(open_then, open_now) == []
    if played.netting:
        # Nautilus forgets the profit of a HEDGING position that a late fill opens again.
        total = successor.kernel.portfolio.realized_pnls(BINANCE)[USDT]
        assert total.as_decimal() == _profits(played.kept)
    kept, known = len(successor.kernel.cache.orders()), len(played.kernel.cache.orders())
    assert kept < 100 < known
    assert len(restored.forgotten) == known - kept
    assert len(body) < len(played.snapshot)


def _profits(kept: Kept) -> Decimal:
    """Return the profit of all positions, by what was told of them."""
    total, still_open = Decimal(0), dict[str, Decimal]()
    for body in kept.facts:
        event = pb.TraderFact.FromString(body).position
        if event.position.position_id:
            pnl = Decimal(event.position.realized_pnl.amount)
            still_open[event.position.position_id] = pnl
            if event.type == pb.POSITION_EVENT_TYPE_CLOSED:
                total += still_open.pop(event.position.position_id)
    return total + sum(still_open.values())


def _learnt(kept: Kept) -> Memory:
    memory = Memory()
    for body in kept.facts:
        learning.learn(memory, pb.TraderFact.FromString(body))
    return memory


class Wasteful(Busy):
    """Makes three ids for every order that it submits, and as many for every list."""

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Submit one order and one list."""
        make = self.order_factory
        unused = [make.generate_client_order_id(), make.generate_order_list_id()]
        assert unused
        self.submit_order(make.market(SPOT.id, OrderSide.BUY, SPOT.make_qty(1)))
        make.generate_client_order_id()
        self.submit_order_list(bracket_of(self))


def bracket_of(strategy: Busy) -> OrderList:
    """Return a new bracket."""
    far = SPOT.make_price(60_000), SPOT.make_price(40_000)
    return strategy.order_factory.bracket(
        SPOT.id, OrderSide.BUY, SPOT.make_qty(1), tp_price=far[0], sl_trigger_price=far[1]
    )


def test_ex_130_ids_never_come_twice(successor: Scene) -> None:
    """EX-130: a strategy of a successor makes ids that none has had, in the same second.

    Many of the former were never used, so that the number of orders is not the number of ids.
    """
    first = Scene()
    first.begin(Memory())
    first.play(quotes(20, size="100"), Wasteful(BusyConfig(order_id_tag="7")))
    former = {str(each) for each in first.kernel.cache.client_order_ids()}
    lists = {str(each) for each in first.kernel.cache.order_list_ids()}
    memory = restore(successor.kernel, first.kept.restored())
    strategy = Wasteful(BusyConfig(order_id_tag="7"), memory)
    successor.kernel.trader.add_strategy(strategy)
    strategy.start()
    strategy.clock.set_time(START + 19 * SECOND)
    for made in (bracket_of(strategy) for _ in range(50)):
        assert {str(each.client_order_id) for each in made.orders}.isdisjoint(former)
        assert str(made.id) not in lists
    assert len(former) > 100
    first.close()


def test_ex_131_the_rest_is_remembered(successor: Scene) -> None:
    """EX-131: commands, intents without outcome, states, failures, clock and marks."""
    kept = Kept()
    for fact in _other_facts():
        kept.record(fact)
    memory = restore(successor.kernel, kept.restored())
    for _ in range(2):
        assert list(memory.commands) == ["c-1"]
        assert list(memory.intents) == ["O-2"]
        assert memory.unknown == {"O-2"}
        assert memory.strategy_states == {"EMACross-007": {"n": b"\x07"}}
        assert memory.state_versions == {"EMACross-007": "ema@2"}
        assert list(memory.strategy_failures) == ["Bad-001"]
        assert (memory.clock_ns, memory.rows) == (START, 9)
        assert memory.marks[str(SPOT.id)].bid == "1.5"
        body = snapshots.make(successor.kernel, memory)
        assert clock_of(Restored(7, body, 7, ())) == START
        memory = restore(successor.kernel, Restored(7, body, 7, ()))
    assert clock_of(kept.restored()) == START


def _other_facts() -> list[pb.TraderFact]:
    ids: dict[str, Any] = {
        "strategy_id": "EMACross-007",
        "trader_id": "BUSY-001",
        "instrument_id": str(SPOT.id),
    }
    accepted = pb.OrderEvent(
        type=pb.ORDER_EVENT_TYPE_ACCEPTED, client_order_id="O-1", venue_order_id="V-1",
        account_id="BINANCE-001", event_id=str(UUID4()), **ids
    )  # fmt: skip
    failed = pb.StrategyFailed(instance_id="Bad-001", message="ValueError: no")
    again = pb.StrategyFailed(instance_id="EMACross-007")
    running = pb.ComponentStateChanged(component_id="EMACross-007", state="RUNNING")
    saved = [
        pb.StrategyStateSaved(instance_id="EMACross-007", state={"n": n}, version=f"ema@{v}")
        for n, v in ((b"\x01", 1), (b"\x07", 2))
    ]
    forgotten = [
        pb.StrategyStateSaved(instance_id="Old-001", state={"n": b"1"}),
        pb.StrategyStateSaved(instance_id="Old-001"),
    ]
    marks = pb.MarkSnapshot(marks=[pb.Mark(instrument_id=str(SPOT.id), bid="1.5")])
    return [
        pb.TraderFact(command=pb.CommandTaken(command_id="c-1")),
        pb.TraderFact(intent=pb.OrderIntent(action="SUBMIT", client_order_ids=["O-1", "O-2"])),
        pb.TraderFact(order=accepted),
        pb.TraderFact(unknown=pb.OrderUnknown(client_order_id="O-2")),
        *(pb.TraderFact(saved=each) for each in (*saved, *forgotten)),
        *(pb.TraderFact(failed=each) for each in (failed, again)),
        pb.TraderFact(component=running),
        pb.TraderFact(clock=pb.ClockMoved(ts=to_timestamp(START), rows=9)),
        pb.TraderFact(marks=marks),
    ]


def test_ex_131_an_unreadable_snapshot_is_said(successor: Scene) -> None:
    """EX-131: bytes that are no snapshot of this version end the restore with a typed error."""
    with pytest.raises(snapshots.UnreadableSnapshot):
        restore(successor.kernel, Restored(1, b"no snapshot", 1, ()))


async def test_ex_139_a_live_node_on_a_sandbox_is_restored(successor: Scene) -> None:
    """EX-139: of a node on the wall's time with the mesh's sandbox all comes back as well."""
    busy = Busy(BusyConfig(order_id_tag="7"))
    async with scene(instruments=(SPOT, PERP), more=[busy]) as live:
        for quote in quotes(100, size="100", start=live.now_ns()):
            live.node.kernel.data_engine.process(quote)
            await live.settled()
        restore(successor.kernel, Restored(len(live.facts), b"", 0, list(enumerate(live.facts, 1))))
        then, now = state_of(live.node.kernel), state_of(successor.kernel)
        assert differences(then, now) == []
        assert then["open"]
        assert then["positions_open"]
        assert len(then["closed"]) > 50
