"""What the API tells of traders.

``facts:live_execution`` has a ``TraderChanged`` for each trader that the API makes, changes,
starts, stops or deletes; what its process says itself is in the trader's own stream
(``TraderKey.facts``). ``WAKE`` tells the keepers of processes that something is wanted.
"""

from typing import Any

from mesh.execution.v1.trader_pb2 import TraderChanged
from meshkit.facts import FactLog
from services.live_execution import convert
from services.live_execution.domain import Trader
from services.live_execution.names import AREA

WAKE = "live_execution_wanted"
"""Bell (``meshkit.bell``) of the keepers."""

_log = FactLog("live_execution")


async def tell(tx: Any, trader: Trader, *, deleted: bool = False) -> None:
    """Write the fact that a trader changed into its transaction."""
    await _log.append(
        tx,
        AREA,
        subject=trader.trader_id,
        owner=trader.owner,
        project=trader.project,
        payload=TraderChanged(trader=convert.trader(trader), deleted=deleted),
    )


async def wake(tx: Any) -> None:
    """Wake the keepers when the transaction commits."""
    await tx.execute(f"SELECT pg_notify('mesh_{WAKE}', '')")
