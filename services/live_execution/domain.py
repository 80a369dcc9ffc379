"""Traders: what is known of them, which states they have, and what may be done with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.live_execution.errors import (
    TraderHalted,
    TraderNotRunning,
    TraderRunning,
)
from services.live_execution.names import TraderKey

PENDING, STOPPED, FAILED, DEGRADED = "PENDING", "STOPPED", "FAILED", "DEGRADED"

RESERVED_TAGS = frozenset({"MANUAL", "SAFETY", "EXTERNAL"})
"""Tags of the desks' own strategies."""


@dataclass(frozen=True)
class Trader:
    """A trader's row. ``spec`` is a ``TraderSpec``, ``strategies`` ``TraderStrategyStatus`` each.

    ``halt_ids`` are those that its process heeds; ``halts`` those in force that reach it, as (halt
    id, scope); ``number`` is the last fact's of its own stream.
    """

    project: str
    trader_id: str
    owner: str
    labels: dict[str, str]
    spec: bytes
    real: bool
    wanted: bool
    safety_mode: bool
    state: str
    state_time: datetime
    reason: str
    message: str
    restrictions: tuple[str, ...]
    strategies: tuple[bytes, ...]
    halt_ids: tuple[str, ...]
    data_time: datetime | None
    replay_ended: bool
    fence: int
    lease_until: datetime | None
    host: str
    pid: int
    pid_start: int
    process_time: datetime | None
    process_safety: bool
    restarts: int
    revision: int
    unresponsive_time: datetime | None
    folder: str
    create_time: datetime
    update_time: datetime
    halts: tuple[tuple[str, str], ...]
    number: int

    @property
    def key(self) -> TraderKey:
        """Its name in streams and keys."""
        return TraderKey(self.project, self.trader_id)

    @property
    def due(self) -> bool:
        """Whether a process is to run."""
        return self.wanted or self.safety_mode

    @property
    def running(self) -> bool:
        """Whether a process runs or is to run."""
        return self.due or self.pid != 0

    def check_stopped(self) -> None:
        """Raise ``TraderRunning`` unless it does not run and is not to."""
        if self.running:
            raise TraderRunning(
                f"The trader '{self.trader_id}' is {self.state}. Stop it, and wait until it has.",
                metadata={"trader_id": self.trader_id, "state": self.state},
            )

    def check_running(self) -> None:
        """Raise ``TraderNotRunning`` unless it runs or is to."""
        if not self.wanted:
            raise TraderNotRunning(
                f"The trader '{self.trader_id}' is {self.state}. Start it first.",
                metadata={"trader_id": self.trader_id, "state": self.state},
            )

    def check_not_halted(self, order_id_tag: str = "") -> None:
        """Raise ``TraderHalted`` when a halt reaches all of it, or the one strategy."""
        wide = {"all", f"trader:{self.trader_id}", f"strategy:{self.trader_id}:{order_id_tag}"}
        for halt_id, scope in self.halts:
            if scope in wide:
                raise TraderHalted(
                    f"A halt is in force ({scope}). Reset it, once its cause is gone.",
                    metadata={"trader_id": self.trader_id, "halt_id": halt_id},
                )


@dataclass(frozen=True)
class Plan:
    """A spec that was checked whole, and what follows from it.

    ``spec`` is a ``TraderSpec`` with versions in full; ``components`` what the process needs of
    each strategy (``ports.Component`` as JSON values).
    """

    spec: bytes
    components: Sequence[dict[str, Any]]
    real: bool
    venues: tuple[str, ...]
    credential_ids: tuple[str, ...]
