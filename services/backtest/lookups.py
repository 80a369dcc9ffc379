"""Read-only look-ups in other services when a run is created, with the caller's own token."""

import asyncio
from collections.abc import Sequence
from typing import Any

from mesh.backtest.v1.backtest_pb2 import BacktestSpec, ComponentSpec
from mesh.common.v1.types_pb2 import TimeRange
from mesh.marketdata.v1.history_service_pb2 import ResolveDataRequest, ResolveDataResponse
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from mesh.marketdata.v1.marketdata_pb2 import DataSelection
from mesh.strategy.v1.strategy_pb2 import StrategyVersion
from mesh.strategy.v1.strategy_service_pb2 import GetStrategyVersionRequest, ValidateConfigRequest
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshkit.errors import FieldViolation
from meshkit.times import to_nanos
from services.backtest.errors import StrategyConfigInvalid


class Lookups:
    """The strategy and market-data services, as far as a run needs them."""

    def __init__(self, strategies: StrategyServiceStub, history: HistoryServiceStub) -> None:
        # The stubs are typed for blocking calls, and these are asyncio's.
        self._strategies: Any = strategies
        self._history: Any = history

    async def resolve(
        self, project: str, spec: BacktestSpec
    ) -> tuple[list[StrategyVersion], ResolveDataResponse]:
        """Return the version of each component, its config checked, and the data's files."""
        versions = [self._version(project, i, each) for i, each in enumerate(spec.components)]
        found, data = await asyncio.gather(asyncio.gather(*versions), self._data(project, spec))
        return list(found), data

    async def _version(self, project: str, index: int, component: ComponentSpec) -> StrategyVersion:
        wanted = component.version or "latest"
        request = GetStrategyVersionRequest(
            project=project, strategy_id=component.strategy_id, version=wanted
        )
        version: StrategyVersion = (await self._strategies.GetStrategyVersion(request)).version
        check = ValidateConfigRequest(
            project=project,
            strategy_id=component.strategy_id,
            version=version.version,
            config=component.config,
        )
        found = (await self._strategies.ValidateConfig(check)).violations
        if found:
            raise StrategyConfigInvalid(
                f"The config of '{component.strategy_id}' does not fit: "
                f"{found[0].path} {found[0].description}",
                metadata={"strategy_id": component.strategy_id},
                violations=[
                    FieldViolation(
                        f"spec.components[{index}].config{each.path.removeprefix('$')}",
                        each.description,
                    )
                    for each in found
                ],
            )
        return version

    async def _data(self, project: str, spec: BacktestSpec) -> ResolveDataResponse:
        selections: Sequence[DataSelection] = [_within(each, spec.range) for each in spec.data]
        request = ResolveDataRequest(project=project, selections=selections)
        response: ResolveDataResponse = await self._history.ResolveData(request)
        return response


def _within(selection: DataSelection, outer: TimeRange) -> DataSelection:
    """Return the selection with its range cut to the run's."""
    made = DataSelection()
    made.CopyFrom(selection)
    ranges = (selection.range, outer)
    if starts := [each.start for each in ranges if each.HasField("start")]:
        made.range.start.CopyFrom(max(starts, key=to_nanos))
    if ends := [each.end for each in ranges if each.HasField("end")]:
        made.range.end.CopyFrom(min(ends, key=to_nanos))
    return made
