"""Read-only look-ups in other services when a spec is checked, with the caller's own token."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from mesh.execution.v1 import trader_pb2 as pb
from mesh.marketdata.v1.feed_service_pb2 import GetFeedRequest, GetVenueRequest, Venue
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from mesh.strategy.v1.strategy_pb2 import StrategyVersion
from mesh.strategy.v1.strategy_service_pb2 import GetStrategyVersionRequest, ValidateConfigRequest
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshkit import schema
from meshkit.errors import FieldViolation
from services.live_execution.checking import REPLAY
from services.live_execution.errors import StrategyConfigInvalid

IS_SECRET = "is a secret; store it by CreateCredential and name the credential"


class Lookups:
    """The strategy and market-data services, as far as a trader needs them."""

    def __init__(self, strategies: StrategyServiceStub, feeds: FeedServiceStub) -> None:
        # The stubs are typed for blocking calls, and these are asyncio's.
        self._strategies: Any = strategies
        self._feeds: Any = feeds

    async def versions(
        self, project: str, strategies: Sequence[pb.TraderStrategy], field: str = "spec.strategies"
    ) -> list[StrategyVersion]:
        """Return the version of each strategy, its config checked."""
        wanted = [
            self._version(project, f"{field}[{index}]", each)
            for index, each in enumerate(strategies)
        ]
        return list(await asyncio.gather(*wanted))

    async def version(
        self, project: str, strategy: pb.TraderStrategy, field: str
    ) -> StrategyVersion:
        """Return the version of a strategy, its config checked."""
        return await self._version(project, field, strategy)

    async def is_replay(self, project: str, data: pb.DataSource) -> bool:
        """Whether the data is stored data; raises ``FEED_NOT_FOUND`` for a feed that is none."""
        if not data.HasField("mesh"):
            return data.HasField("replay")
        request = GetFeedRequest(project=project, feed_id=data.mesh.feed_id)
        feed = (await self._feeds.GetFeed(request)).feed
        return bool(feed.venue == REPLAY)

    async def adapter_faults(self, spec: pb.TraderSpec) -> list[FieldViolation]:
        """Return what speaks against the adapters of a spec; raises ``VENUE_NOT_FOUND``."""
        execution = [
            self._adapter(f"spec.venues[{index}].live", each.live, data=False)
            for index, each in enumerate(spec.venues)
            if each.HasField("live")
        ]
        data = [
            self._adapter(f"spec.data.venue.clients[{index}]", each, data=True)
            for index, each in enumerate(spec.data.venue.clients)
        ]
        found = await asyncio.gather(*execution, *data)
        return [fault for faults in found for fault in faults]

    async def _adapter(
        self, field: str, venue: pb.LiveVenue, *, data: bool
    ) -> list[FieldViolation]:
        request = GetVenueRequest(venue=venue.adapter)
        told: Venue = (await self._feeds.GetVenue(request)).venue
        if not (told.data if data else told.execution):
            text = "gives no market data" if data else "takes no orders"
            return [FieldViolation(f"{field}.adapter", f"{venue.adapter} {text}")]
        if not told.available:
            return [FieldViolation(f"{field}.adapter", f"cannot be used here. {told.problem}")]
        return _config_faults(field, venue, told, data=data)

    async def _version(
        self, project: str, field: str, strategy: pb.TraderStrategy
    ) -> StrategyVersion:
        request = GetStrategyVersionRequest(
            project=project,
            strategy_id=strategy.strategy_id,
            version=strategy.version or "latest",
        )
        version: StrategyVersion = (await self._strategies.GetStrategyVersion(request)).version
        check = ValidateConfigRequest(
            project=project,
            strategy_id=strategy.strategy_id,
            version=version.version,
            config=strategy.config,
        )
        found = (await self._strategies.ValidateConfig(check)).violations
        if found:
            raise StrategyConfigInvalid(
                f"The config of '{strategy.strategy_id}' does not fit: "
                f"{found[0].path} {found[0].description}",
                metadata={"strategy_id": strategy.strategy_id},
                violations=[
                    FieldViolation(f"{field}.config{each.path.removeprefix('$')}", each.description)
                    for each in found
                ],
            )
        return version


def _config_faults(
    field: str, venue: pb.LiveVenue, told: Venue, *, data: bool
) -> list[FieldViolation]:
    """Return what is wrong with a config: secrets, and what does not fit its schema."""
    config = json.loads(venue.config_json or "{}")
    secret = {credential.field for credential in told.credentials}
    text = told.config_schema if data else told.exec_config_schema
    found = schema.violations(json.loads(text), config) if text else []
    faults = {path.removeprefix("$"): description for path, description in found}
    faults = {path: each for path, each in faults.items() if path.removeprefix(".") not in secret}
    faults |= {f".{name}": IS_SECRET for name in config.keys() & secret}
    return [
        FieldViolation(f"{field}.config_json{path}", description)
        for path, description in sorted(faults.items())
    ]
