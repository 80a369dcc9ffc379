"""What becomes of the orders and positions of a component that was stopped or has failed."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

from nautilus_trader.model.identifiers import ExecAlgorithmId, StrategyId
from nautilus_trader.model.orders import Order

from meshkit.nautilus.data_time import DataTimeError, timeline_of
from services.live_execution.engine.desk import Desk

LATEST_S = 1.0
"""When (s) something is done at the latest while data time stands still."""


class Sweep(Protocol):
    """Cancels the orders of a strategy or execution algorithm, and closes positions."""

    def __call__(self, instance_id: str, *, close: bool) -> None:
        """Cancel everything of ``instance_id``; with ``close`` its positions are closed too."""


class DeskSweep:
    """Sweeps by a desk of the mesh: no code of the strategy is run."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, instance_id: str, *, close: bool) -> None:
        """See ``Sweep``. Positions that orders on their way still open are not waited for."""
        for order in self._orders(instance_id):
            self._desk.cancel(order)
        if close and "-" in instance_id:
            cause = f"sweep/{uuid4()}"
            for position in self._positions(instance_id):
                self._desk.close(position, cause)

    def _orders(self, instance_id: str) -> Iterable[Order]:
        if "-" in instance_id:
            return self._desk.working(strategy_id=StrategyId(instance_id))
        algorithm_id = ExecAlgorithmId(instance_id)
        found = self._desk.cache.orders_for_exec_algorithm(algorithm_id)
        return [order for order in found if not order.is_closed]

    def _positions(self, instance_id: str) -> Iterable[Any]:
        found: list[Any] = self._desk.cache.positions_open(strategy_id=StrategyId(instance_id))
        return found


class Soon:
    """Does things after whatever the node is in the middle of: a fill that is half applied.

    On data time that is after the present nanosecond, so that a replay always does the same.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._numbers = count(1)

    def __call__(self, action: Callable[[], None]) -> None:
        """Do something soon, once."""
        clock, loop = self._kernel.clock, self._kernel.loop
        try:
            timeline_of(clock)
        except DataTimeError:
            loop.call_soon(action)
            return
        left = [action]

        def run(_event: object = None) -> None:
            if left:
                left.pop()()

        clock.set_time_alert_ns(f"mesh-soon-{next(self._numbers)}", clock.timestamp_ns(), run)
        loop.call_later(LATEST_S, run)
