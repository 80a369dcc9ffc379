"""What the kill switch tells on ``facts:live_execution``: a ``SafetyChanged`` for each change of a
halt or a flatten, and for each limit across traders that is broken.
"""

from typing import Any

from mesh.execution.v1.events_pb2 import LimitBroken
from mesh.execution.v1.safety_pb2 import SafetyChanged
from meshkit.facts import FactLog
from services.live_execution.names import AREA
from services.live_execution.safety import convert
from services.live_execution.safety.flattens import Flatten
from services.live_execution.safety.halts import Halt

_log = FactLog("live_execution")


async def tell_halt(tx: Any, halt: Halt) -> None:
    """Write the fact that a halt was set, heeded or reset into its transaction."""
    change = SafetyChanged(halt=convert.halt(halt))
    await _tell(tx, halt.halt_id, halt.owner, halt.project, change)


async def tell_flatten(tx: Any, flatten: Flatten) -> None:
    """Write the fact that a flatten began, went on or ended into its transaction."""
    change = SafetyChanged(flatten=convert.flatten(flatten))
    await _tell(tx, flatten.flatten_id, flatten.owner, flatten.project, change)


async def tell_limit(tx: Any, project: str, broken: LimitBroken) -> None:
    """Write the fact that a limit of a project was broken into a transaction."""
    await _tell(tx, broken.limit, "", project, SafetyChanged(limit=broken))


async def _tell(tx: Any, subject: str, owner: str, project: str, change: SafetyChanged) -> None:
    await _log.append(tx, AREA, subject=subject, owner=owner, project=project, payload=change)
