"""Flattens: what becomes of each trader in their reach. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1.events_pb2 import FlattenDone, FlattenResult
from services.live_execution.names import TraderKey
from services.live_execution.safety.halts import derived

RUNNING, FLAT, NOT_FLAT = "RUNNING", "FLAT", "NOT_FLAT"


@dataclass(frozen=True)
class Settings:
    """How patient a flatten is.

    Parameters
    ----------
    flatten_s
        What has not reported by then is NOT FLAT.
    answer_s
        A trader that lives and has not taken its command by then is wedged.
    dead_s
        How long one that should run may be without a lease before it is started in safety mode.
    look_s
        Time between looks at the latches in Redis and at the limits.

    """

    flatten_s: float = 60.0
    answer_s: float = 10.0
    dead_s: float = 2.0
    look_s: float = 1.0


@dataclass(frozen=True)
class View:
    """A trader as a flatten sees it."""

    key: TraderKey
    owner: str
    state: str
    reason: str
    wanted: bool
    safety_mode: bool
    alive: bool
    """Its lease holds."""
    real: bool
    fence: int
    open: bool
    """An order or a position is open, as far as is known."""

    @property
    def has_nothing(self) -> bool:
        """Whether it is flat without being asked: it never ran; or it stopped in order, all its
        accounts are simulated, so that it alone knows them, and nothing is open.
        """
        if not self.fence:
            return True
        stopped = self.state == "STOPPED" and not self.wanted and not self.alive
        return stopped and not self.real and not self.open


@dataclass(frozen=True)
class Part:
    """A flatten in one trader."""

    body: pb.TraderFlatten
    attempts: int
    fence: int
    sent_time: datetime

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.body.state == pb.FLATTEN_STATE_RUNNING

    def command_id(self, flatten_id: str) -> str:
        """Return the id of the command that was sent last."""
        return derived(flatten_id, self.body.trader_id, str(self.attempts))

    def sent_again(self, now: datetime, fence: int, *, safety_mode: bool) -> "Part":
        """Return it with one more command on the way."""
        body = pb.TraderFlatten()
        body.CopyFrom(self.body)
        body.safety_mode = body.safety_mode or safety_mode
        return replace(self, body=body, attempts=self.attempts + 1, fence=fence, sent_time=now)

    def done(self, report: FlattenDone) -> "Part":
        """Return it as its trader reported the end."""
        state = pb.FLATTEN_STATE_FLAT if report.flat else pb.FLATTEN_STATE_NOT_FLAT
        return self._ended(state, report.results)

    def given_up(self, view: View | None, left: Iterable[FlattenResult]) -> "Part":
        """Return it as not flat: its trader has not reported in time."""
        known = {"VENUE_UNREACHABLE", "TRADER_FAILED"}
        reason = view.reason if view and view.reason in known else "TRADER_UNRESPONSIVE"
        if view and view.state == "FAILED":
            reason = "TRADER_FAILED"
        return self._ended(pb.FLATTEN_STATE_NOT_FLAT, left, reason, _REMEDIES[reason])

    def _ended(
        self,
        state: pb.FlattenState.ValueType,
        results: Iterable[FlattenResult],
        reason: str = "",
        message: str = "",
    ) -> "Part":
        body = pb.TraderFlatten(
            trader_id=self.body.trader_id,
            state=state,
            results=results,
            reason=reason,
            message=message,
            safety_mode=self.body.safety_mode,
        )
        return replace(self, body=body)


_REMEDIES = {
    "TRADER_UNRESPONSIVE": "The trader did not report in time; what is left is as last known. "
    "Look at its state and log, and at the venue itself, then flatten again.",
    "VENUE_UNREACHABLE": "The venue is out of reach; what is left is as last known. Close it at "
    "the venue, or flatten again when it is back.",
    "TRADER_FAILED": "The trader's process cannot run; what is left is as last known. Look at its "
    "log, mend the cause, and flatten again.",
}


@dataclass(frozen=True)
class Flatten:
    """A flatten with its traders."""

    flatten_id: str
    project: str
    owner: str
    scope: str
    reason: str
    state: str
    create_time: datetime
    deadline: datetime
    update_time: datetime
    end_time: datetime | None
    parts: tuple[Part, ...] = ()

    @property
    def outcome(self) -> str:
        """The state that its traders add up to."""
        if any(part.running for part in self.parts):
            return RUNNING
        flat = all(part.body.state == pb.FLATTEN_STATE_FLAT for part in self.parts)
        return FLAT if flat else NOT_FLAT


WAIT, WAKE, AGAIN, GIVE_UP = "WAIT", "WAKE", "AGAIN", "GIVE_UP"


def next_step(
    part: Part, view: View | None, *, taken: bool, now: datetime, deadline: datetime, by: Settings
) -> str:
    """Return what a flatten does about a trader that has not reported.

    WAKE starts it in safety mode, which ends a process that is there; AGAIN repeats the command
    for a process that came after the one that took it.
    """
    if view is None or now >= deadline:
        return GIVE_UP
    age = now - part.sent_time
    if not part.body.safety_mode:
        dead = not view.alive and (not view.wanted or age >= timedelta(seconds=by.dead_s))
        wedged = view.alive and not taken and age >= timedelta(seconds=by.answer_s)
        if dead or wedged:
            return WAKE
    if taken and view.alive and view.fence > part.fence:
        return AGAIN
    return WAIT


def new_part(trader_id: str, now: datetime, *, flat: bool) -> Part:
    """Return a flatten in one trader, at its beginning."""
    state = pb.FLATTEN_STATE_FLAT if flat else pb.FLATTEN_STATE_RUNNING
    return Part(pb.TraderFlatten(trader_id=trader_id, state=state), 0, 0, now)
