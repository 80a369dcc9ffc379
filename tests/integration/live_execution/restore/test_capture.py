"""Events of a node's bus → facts (EX-123 to EX-125)."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderAccepted
from nautilus_trader.model.identifiers import AccountId, ClientOrderId, VenueOrderId
from nautilus_trader.test_kit.stubs.execution import TestExecStubs

from integration.live_execution.restore.busy import SPOT, Busy, BusyConfig, Scene, quotes
from integration.live_execution.restore.conftest import Played
from mesh.common.v1.enums_pb2 import ORDER_SIDE_BUY
from mesh.execution.v1.events_pb2 import ORDER_EVENT_TYPE_ACCEPTED as ACCEPTED
from mesh.execution.v1.events_pb2 import ORDER_EVENT_TYPE_INITIALIZED as INITIALIZED
from mesh.execution.v1.events_pb2 import ORDER_EVENT_TYPE_SUBMITTED as SUBMITTED
from mesh.execution.v1.events_pb2 import TraderFact
from services.live_execution.engine.memory import Memory


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give an engine that records."""
    made = Scene()
    made.begin(Memory())
    yield made
    made.close()


def facts_of(scene: Scene) -> list[TraderFact]:
    """Return what was recorded."""
    return [TraderFact.FromString(body) for body in scene.kept.facts]


class Looking(Busy):
    """Looks in the journal for each event that it is told."""

    def __init__(self, config: BusyConfig, journal: set[str]) -> None:
        super().__init__(config)
        self.journal = journal
        self.told = 0
        self.missing: list[str] = []

    def on_start(self) -> None:
        """Listen to what others are told, too."""
        super().on_start()
        for topic in ("events.fills.*", "events.order.*", "events.position.*", "events.account.*"):
            self.msgbus.subscribe(topic, self.look)

    def on_event(self, event: Any) -> None:
        """Look for an event of its own."""
        self.look(event)

    def look(self, event: Any) -> None:
        """Look for any event."""
        self.told += 1
        if str(event.id) not in self.journal:
            self.missing.append(type(event).__name__)


def test_ex_123_a_fact_is_journalled_before_anybody_is_told(scene: Scene) -> None:
    """EX-123: when a strategy or a watcher sees an event, the journal has it already."""
    journal: set[str] = set()

    def note(fact: TraderFact) -> None:
        for kind in ("order", "position", "account"):
            if fact.HasField(kind):
                journal.add(getattr(fact, kind).event_id)

    scene.kept.on_record = note
    strategy = Looking(BusyConfig(order_id_tag="7"), journal)
    scene.play(quotes(120, size="0.25"), strategy)
    assert strategy.told > 500
    assert strategy.missing == []


def test_ex_124_every_event_is_recorded_once(played: Played) -> None:
    """EX-124: no event twice, those of an order in its order, definitions once and before use."""
    facts = facts_of(played)
    ids = Counter(f.order.event_id for f in facts if f.HasField("order"))
    ids += Counter(f.position.event_id for f in facts if f.HasField("position"))
    ids += Counter(f.account.event_id for f in facts if f.HasField("account"))
    assert set(ids.values()) == {1}
    told: dict[str, list[str]] = {}
    defined: set[str] = set()
    for fact in facts:
        if fact.HasField("instrument"):
            assert fact.instrument.instrument_id not in defined
            defined.add(fact.instrument.instrument_id)
        elif fact.HasField("order"):
            assert fact.order.instrument_id in defined
            told.setdefault(fact.order.client_order_id, []).append(fact.order.event_id)
    for order in played.kernel.cache.orders():
        own = [str(each.id) for each in order.events]
        # Told are those too that the order did not take: cancelled, when it was filled already.
        assert [each for each in told[str(order.client_order_id)] if each in own] == own


def test_ex_125_an_order_that_was_never_announced_is_recorded_whole(scene: Scene) -> None:
    """EX-125: reconciliation makes orders in silence; their first event brings what they are."""
    order = TestExecStubs.limit_order(instrument=SPOT)
    scene.kernel.cache.add_order(order)
    scene.kernel.exec_engine.process(_accepted(order))
    types = [f.order.type for f in facts_of(scene) if f.HasField("order")]
    assert types == [INITIALIZED, ACCEPTED]
    first = next(f.order for f in facts_of(scene) if f.HasField("order"))
    assert first.initialized.quantity == str(order.quantity)


class Twice(Busy):
    """Gives two orders one id."""

    def on_quote_tick(self, tick: Any) -> None:
        """Submit both with the first price."""
        self.ticks += 1
        if self.ticks > 1:
            return
        for side in (OrderSide.BUY, OrderSide.SELL):
            self.submit_order(
                self.order_factory.limit(
                    SPOT.id, side, SPOT.make_qty(1),
                    SPOT.make_price(40_000 if side == OrderSide.BUY else 60_000),
                    client_order_id=ClientOrderId("MINE-1"),
                )
            )  # fmt: skip


def test_ex_125_an_order_with_a_used_id_leaves_the_first_one_alone(scene: Scene) -> None:
    """EX-125: Nautilus announces and denies the second order; no fact is made of it."""
    scene.play(quotes(3), Twice(BusyConfig(order_id_tag="7")))
    own = [f.order for f in facts_of(scene) if f.order.client_order_id == "MINE-1"]
    assert [event.type for event in own] == [INITIALIZED, SUBMITTED, ACCEPTED]
    assert own[0].initialized.order_side == ORDER_SIDE_BUY


def _accepted(order: Any) -> OrderAccepted:
    return OrderAccepted(
        trader_id=order.trader_id,
        strategy_id=order.strategy_id,
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=VenueOrderId("V-1"),
        account_id=AccountId("BINANCE-001"),
        event_id=UUID4(),
        ts_event=1,
        ts_init=1,
        reconciliation=True,
    )
