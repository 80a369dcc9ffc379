"""What is known of a component of a trader, whether or not it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.execution.v1 import trader_pb2 as pb
from mesh.strategy.v1 import strategy_pb2
from meshkit.times import now, to_timestamp
from services.live_execution.engine.strategies.fuse import Fuse
from services.live_execution.trader.ports import Component


@dataclass
class Entry:
    """A component, its instance when there is one, and where it stands."""

    component: Component
    instance_id: str = ""
    made: Any = None
    fuse: Fuse | None = None
    state: pb.StrategyState.ValueType = pb.STRATEGY_STATE_PENDING
    since: Any = field(default_factory=now)
    reason: str = ""
    message: str = ""
    saved: Mapping[str, bytes] = field(default_factory=dict)
    saved_ns: int = 0

    @property
    def running(self) -> bool:
        """Whether its code runs."""
        return self.made is not None and bool(self.made.is_running)

    def become(
        self, state: pb.StrategyState.ValueType, reason: str = "", message: str = ""
    ) -> None:
        """Take another state, since now."""
        if (state, reason, message) != (self.state, self.reason, self.message):
            self.state, self.reason, self.message, self.since = state, reason, message, now()

    def status(self, halted: bool) -> pb.TraderStrategyStatus:
        """Return how it does."""
        state, reason, message = self.state, self.reason, self.message
        if halted and state == pb.STRATEGY_STATE_RUNNING:
            state, reason = pb.STRATEGY_STATE_HALTED, "HALTED"
            message = "A halt refuses its orders. ListHalts says why; ResetHalt ends it."
        kind = strategy_pb2.ComponentKind.Value(f"COMPONENT_KIND_{self.component.kind}")
        made = pb.TraderStrategyStatus(
            order_id_tag=self.component.order_id_tag,
            instance_id=self.instance_id,
            state=state,
            state_time=self.since,
            reason=reason,
            message=message,
            kind=kind,
        )
        if self.saved_ns:
            made.saved_time.CopyFrom(to_timestamp(self.saved_ns))
        return made
