"""How far a replay has come: told so that a restart goes on exactly there."""

from collections.abc import Callable
from typing import Any

from mesh.execution.v1.events_pb2 import ClockMoved, TraderFact
from meshkit.nautilus.data_time import DataTimeNode
from meshkit.times import to_timestamp
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.sandbox import market

ALERT = "mesh-clock"
TOPICS = ("events.order.*", "events.position.*", "events.account.*")


class Clockwork:
    """Records ``ClockMoved`` when all data up to a time is done.

    After anything that happens to an order, position or account it does so before the next data,
    so that data which has had effects is not played again; else when it is asked to. ``record``
    takes the fact, and records with it what must be of the same time.
    """

    def __init__(
        self, node: DataTimeNode, outside: Remembering, record: Callable[[TraderFact], None]
    ) -> None:
        self._node = node
        self._clock = node.kernel.clock
        self._recorded = record
        self._earlier = outside.memory.rows if outside.memory is not None else 0
        self.armed = False
        self._told_ns = 0
        for topic in TOPICS:
            node.kernel.msgbus.subscribe(topic, self._on_event)

    def ask(self) -> None:
        """Tell at the next time at which all data up to then is done."""
        now_ns = self._clock.timestamp_ns()
        if self.armed or now_ns == self._told_ns:
            return
        self.armed = True
        # It runs before data of a later time, and after all of the present one.
        self._clock.set_time_alert_ns(ALERT, now_ns + 1, self._on_alert)

    def tell(self) -> None:
        """Tell now: for a caller who knows that nothing of the present time is to come."""
        now_ns = self._clock.timestamp_ns()
        if now_ns != self._told_ns:
            self._record(now_ns)

    def _on_event(self, _: Any) -> None:
        self.ask()

    def _on_alert(self, event: Any) -> None:
        self.armed = False
        self._record(event.ts_event - 1)

    def _record(self, done_ns: int) -> None:
        self._told_ns = done_ns
        rows = self._earlier + self._node.driver.delivered
        moved = ClockMoved(ts=to_timestamp(done_ns), rows=rows, market=market(self._node))
        self._recorded(TraderFact(clock=moved))
