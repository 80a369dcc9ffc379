"""Services to stand behind the gateway: two contracts, served for real, that say what came."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from mesh.backtest.v1 import backtest_service_pb2 as backtest_rpc
from mesh.backtest.v1.backtest_service_pb2_grpc import BacktestServiceServicer
from mesh.strategy.v1 import strategy_pb2
from mesh.strategy.v1 import strategy_service_pb2 as strategy_rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceServicer
from meshkit.errors import NotFound, StoreUnavailable


class StrategyNotFound(NotFound):
    """A typed error of a service."""

    reason = "STRATEGY_NOT_FOUND"


class Strategies(StrategyServiceServicer):
    """Answers with the metadata that it got, or with an error that the id names."""

    def __init__(self) -> None:
        self.calls = 0

    async def GetStrategy(  # noqa: N802 named by the contract
        self, request: strategy_rpc.GetStrategyRequest, context: Any
    ) -> Any:
        """Return the call's metadata as JSON in ``description``."""
        self.calls += 1
        if request.strategy_id == "slow":
            await asyncio.Event().wait()
        if request.strategy_id == "missing":
            raise StrategyNotFound("There is none.", metadata={"strategy_id": "missing"})
        if request.strategy_id == "flaky" and self.calls == 1:
            raise StoreUnavailable("Not now.", metadata={"store": "postgresql"})
        seen = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
        return strategy_rpc.GetStrategyResponse(
            strategy=strategy_pb2.Strategy(
                strategy_id=request.strategy_id, description=json.dumps(seen)
            )
        )

    async def CreateStrategy(  # noqa: N802 named by the contract
        self, request: strategy_rpc.CreateStrategyRequest, _: Any
    ) -> Any:
        """Return what was asked for."""
        return strategy_rpc.CreateStrategyResponse(
            strategy=strategy_pb2.Strategy(
                strategy_id=request.strategy_id, display_name=request.display_name
            )
        )


class Backtests(BacktestServiceServicer):
    """Watches that say three things and then wait."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def WatchBacktest(  # noqa: N802 named by the contract
        self, request: backtest_rpc.WatchBacktestRequest, _: Any
    ) -> AsyncIterator[Any]:
        """Give three messages; then a run whose id begins with 0 waits, one with 9 fails."""
        for number in range(3):
            yield backtest_rpc.WatchBacktestResponse(cursor=f"c{number}")
        if request.backtest_id.startswith("9"):
            raise StrategyNotFound("It has gone.", metadata={"strategy_id": "gone"})
        if request.backtest_id.startswith("0"):
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.set()
