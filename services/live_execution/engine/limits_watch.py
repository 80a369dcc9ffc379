"""Watches exposure and the day's loss on fills and prices, and acts when a limit is broken."""

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import TradingState

from mesh.execution.v1 import events_pb2 as ev
from mesh.execution.v1 import trader_pb2 as pb
from services.live_execution.engine.limits import Limits
from services.live_execution.engine.limits_daily import Day
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.states import States, Trouble
from services.live_execution.names import DESK_SAFETY
from services.live_execution.trader.ports import HaltNotice, Restored

log = logging.getLogger("trader.limits")

ACTIONS = {
    pb.LIMIT_ACTION_REDUCING: (TradingState.REDUCING, "only orders that reduce"),
    pb.LIMIT_ACTION_HALTED: (TradingState.HALTED, "no orders"),
}


class LimitWatch:
    """Holds a trader to ``max_gross_exposure`` and ``max_daily_loss``.

    What it does when one is broken lasts until the halt that the mesh makes of it is reset.
    """

    def __init__(
        self,
        kernel: Any,
        risk: pb.RiskLimits,
        limits: Limits,
        outside: Remembering,
        states: States,
        trader_id: str,
    ) -> None:
        self._kernel, self._risk, self._limits = kernel, risk, limits
        self._outside, self._states, self._trader_id = outside, states, trader_id
        self._day: Day | None = None
        if risk.HasField("max_daily_loss"):
            self._day = Day(kernel.cache, risk.max_daily_loss.currency)
        self._kept: dict[str, bytes] = {}
        self._halted = False
        self._in_force: set[str] = set()
        self._before: set[str] = set()

    @property
    def needed(self) -> bool:
        """Whether there is anything to watch."""
        return self._day is not None or self._limits.exposure.bound is not None

    def recall(self, restored: Restored) -> None:
        """Bring back the day of an earlier process, once the memory is there."""
        if self._day is not None and self._outside.memory is not None:
            state = dict(self._outside.memory.strategy_states.get(DESK_SAFETY, {}))
            self._day.recall(state, DESK_SAFETY, restored.facts)

    def on_position(self, fact: ev.TraderFact) -> None:
        """Take a position event that was recorded."""
        if self._day is not None:
            self._day.roll(self._kernel.clock.timestamp_ns())
            self._day.take(fact.position)

    def look(self) -> None:
        """Compare what there is with the limits."""
        if not self.needed or self._limits.broken:
            return
        unknown = [] if self._look_at_day() else ["max_daily_loss"]
        exposure = self._limits.exposure
        if exposure.bound is not None:
            value = exposure.value()
            if value is None:
                unknown.append(f"max_gross_exposure ({exposure.lacks})")
            else:
                self._compare("max_gross_exposure", exposure.bound, value, str(exposure.currency))
        self._tell_unknown(unknown)

    def _tell_unknown(self, unknown: Sequence[str]) -> None:
        """Say which limits cannot be watched: a price or a rate is missing."""
        text = f"Not watched for want of a price or rate: {', '.join(unknown)}."
        trouble = Trouble("LIMITS_INVALID", text) if unknown else None
        self._states.trouble("unwatched", trouble)

    def _look_at_day(self) -> bool:
        """Compare the day's loss; say whether it is known."""
        if self._day is None:
            return True
        if self._day.roll(self._kernel.clock.timestamp_ns()):
            self.keep()
        result = self._day.result()
        if result is not None:
            money = self._risk.max_daily_loss
            self._compare("max_daily_loss", Decimal(money.amount), -result, money.currency)
        return result is not None

    def keep(self) -> None:
        """Record the day as it is, when it has changed."""
        if self._day is None:
            return
        state = self._day.state()
        if state != self._kept:
            self._kept = state
            saved = ev.StrategyStateSaved(instance_id=DESK_SAFETY, state=state)
            self._outside.record(ev.TraderFact(saved=saved))

    def on_halts(self, halts: Sequence[HaltNotice]) -> None:
        """Let go of a broken limit when the halt that was made of it has been reset."""
        self._in_force = {halt.halt_id for halt in halts}
        ours = any(
            halt.scope == f"trader:{self._trader_id}" and halt.halt_id not in self._before
            for halt in halts
        )
        if self._limits.broken and self._halted and not ours:
            self._release()
        self._halted = ours

    def _compare(self, limit: str, bound: Decimal, value: Decimal, currency: str) -> None:
        if value > bound and not self._limits.broken:
            self._break(limit, f"{bound:f}", f"{value:f}", currency)

    def _break(self, limit: str, bound: str, value: str, currency: str) -> None:
        action = self._risk.action or pb.LIMIT_ACTION_REDUCING
        state, passes = ACTIONS[action]
        self._before = self._in_force  # none of these is made of this
        self._limits.broken = action
        self._limits.why = f"{limit} is broken: {value} {currency} is above {bound}."
        self._kernel.risk_engine.set_trading_state(state)
        broken = ev.LimitBroken(
            limit=limit, bound=bound, value=value, action=action, trader_id=self._trader_id
        )
        self._outside.record(ev.TraderFact(limit=broken))
        log.warning(self._limits.why)
        restriction = f"{passes}: {limit} is broken"
        message = f"{self._limits.why} Mend the cause, then ResetHalt."
        self._states.trouble("limits", Trouble("LIMIT_BROKEN", message, restriction))

    def _release(self) -> None:
        self._limits.broken = pb.LIMIT_ACTION_UNSPECIFIED
        self._kernel.risk_engine.set_trading_state(TradingState.ACTIVE)
        self._states.trouble("limits", None)
