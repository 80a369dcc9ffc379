"""Where the trader stands, since when and why: told as facts whenever it changes."""

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit.times import now, to_timestamp
from services.live_execution.trader.ports import HaltNotice, Outside

WORKING = (pb.TRADER_STATE_RUNNING,)


@dataclass(frozen=True)
class Trouble:
    """Something amiss: a reason of ``ErrorReason``, what to do, and what is not done meanwhile."""

    reason: str
    message: str
    restriction: str = ""
    lasting: bool = False
    """Whether it does not pass by itself."""


class States:
    """The state of one trader.

    While it is RUNNING, what is shown is RUNNING, DEGRADED (there is a trouble) or HALTED (a halt
    forbids all of its orders). ``strategies`` gives how they do; ``data_time`` the trader's time
    (unix ns).
    """

    def __init__(self, outside: Outside, trader_id: str, *, real: bool) -> None:
        self._outside = outside
        self._shown = pb.Trader(trader_id=trader_id, real=real, wanted=True)
        self._shown.process.CopyFrom(_process(outside.fence))
        self._state: pb.TraderState.ValueType = pb.TRADER_STATE_STARTING
        self._why = Trouble("", "")
        self._troubles: dict[str, Trouble] = {}
        self._halts: Sequence[HaltNotice] = ()
        self._told = b""
        self.strategies: Callable[[], Iterable[pb.TraderStrategyStatus]] = tuple
        self.data_time: Callable[[], int] | None = None
        self.replay_ended = False

    @property
    def state(self) -> pb.TraderState.ValueType:
        """The state without halts and troubles."""
        return self._state

    @property
    def halts(self) -> Sequence[HaltNotice]:
        """The halts in force."""
        return self._halts

    def become(self, state: pb.TraderState.ValueType, reason: str = "", message: str = "") -> None:
        """Enter a state."""
        self._state, self._why = state, Trouble(reason, message)
        self.tell()

    def trouble(self, key: str, trouble: Trouble | None) -> None:
        """Note that something is amiss, or, with None, that it is not any more."""
        self.troubles({key: trouble})

    def troubles(self, troubles: Mapping[str, Trouble | None]) -> None:
        """Note several at once; see ``trouble``."""
        self._troubles.update({key: each for key, each in troubles.items() if each is not None})
        for key in [key for key, each in troubles.items() if each is None]:
            self._troubles.pop(key, None)
        self.tell()

    def halted(self, halts: Sequence[HaltNotice]) -> None:
        """Take the halts in force."""
        self._halts = tuple(halts)
        self.tell()

    def tell(self) -> None:
        """Record what is shown, when it has changed; times alone do not count."""
        self._show()
        told = self._key()
        if told == self._told:
            return
        self._told = told
        self._shown.data_time.CopyFrom(self._now())
        fact = TraderFact()
        fact.trader.trader.CopyFrom(self._shown)
        self._outside.record(fact)

    def _show(self) -> None:
        state, why, restrictions = self._effective()
        shown = self._shown
        if shown.state != state:
            shown.state = state
            shown.state_time.CopyFrom(now())
        shown.reason, shown.message = why.reason, why.message
        shown.replay_ended = self.replay_ended
        del shown.restrictions[:], shown.strategies[:], shown.halt_ids[:]
        shown.restrictions.extend(restrictions)
        shown.strategies.extend(self.strategies())
        shown.halt_ids.extend(halt.halt_id for halt in self._halts)

    def _effective(self) -> tuple[pb.TraderState.ValueType, Trouble, list[str]]:
        troubles = [*self._troubles.values()]
        halts = [_as_trouble(halt) for halt in self._halts]
        restrictions = [t.restriction for t in (*halts, *troubles) if t.restriction]
        if self._state not in WORKING:
            return self._state, self._why, restrictions
        whole = next((h for h in self._halts if _stops_all(h)), None)
        if whole is not None:
            return pb.TRADER_STATE_HALTED, _as_trouble(whole), restrictions
        amiss = next(iter((*troubles, *halts)), None)
        if amiss is not None:
            return pb.TRADER_STATE_DEGRADED, amiss, restrictions
        return self._state, self._why, restrictions

    def _key(self) -> bytes:
        shown = pb.Trader()
        shown.CopyFrom(self._shown)
        shown.ClearField("data_time")
        for strategy in shown.strategies:
            strategy.ClearField("saved_time")
        return shown.SerializeToString(deterministic=True)

    def _now(self) -> Timestamp:
        return now() if self.data_time is None else to_timestamp(self.data_time())


def _stops_all(halt: HaltNotice) -> bool:
    return halt.scope == "all" or halt.scope.startswith("trader:")


def _as_trouble(halt: HaltNotice) -> Trouble:
    what = "only orders that reduce positions" if halt.reducing else "no orders"
    _, _, where = halt.scope.partition(":")
    kind = halt.scope.partition(":")[0]
    of = {"venue": f" at {where}", "strategy": f" of strategy {where.rpartition(':')[2]}"}
    restriction = f"{what}{of.get(kind, '')}: halt {halt.halt_id}"
    message = f"A halt is in force ({halt.reason or 'no reason given'}): {restriction}. ResetHalt."
    return Trouble("HALTED", message, restriction)


def _process(fence: int) -> pb.TraderProcess:
    made = pb.TraderProcess(host=socket.gethostname(), pid=os.getpid(), fence=fence)
    made.start_time.CopyFrom(now())
    return made
