"""What the service tells: ``facts:strategy``, one fact for each change of a strategy."""

from typing import Any

from mesh.strategy.v1.strategy_pb2 import StrategyChanged
from meshkit.facts import FactLog
from services.strategy import convert
from services.strategy.domain import Strategy

STREAM = "facts:strategy"
_log = FactLog("strategy")


async def tell(tx: Any, strategy: Strategy, deleted: bool) -> None:
    """Write the fact that a strategy changed into its transaction."""
    await _log.append(
        tx,
        STREAM,
        subject=strategy.strategy_id,
        owner=strategy.owner,
        project=strategy.project,
        payload=StrategyChanged(strategy=convert.strategy(strategy), deleted=deleted),
    )
