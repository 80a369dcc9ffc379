"""RPC methods of the strategy service."""

from dataclasses import replace
from typing import Any

from mesh.strategy.v1 import strategy_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceServicer
from meshkit import schema
from meshkit.context import caller
from meshkit.database import Database
from meshkit.errors import EtagMismatch
from meshkit.idempotency import once
from meshkit.paging import page
from meshkit.structs import to_json
from services.strategy import convert
from services.strategy.domain import Loader, Registry, Source, Strategy, Version


class Servicer(StrategyServiceServicer):
    """Unpack, call, pack."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        loader: Loader,
        importable: tuple[str, ...],
    ) -> None:
        self._database = database
        self._registry = registry
        self._loader = loader
        self._importable = importable

    async def CreateStrategy(self, request: rpc.CreateStrategyRequest, _: Any) -> Any:
        """Make a strategy, with a first version when a source is given."""
        project = caller().project(request.project)
        kind = convert.kind_name(request.kind)

        async def prepare() -> Version | None:
            if not request.HasField("source"):
                return None
            return await self._load(
                project, request.strategy_id, kind, convert.source(request.source)
            )

        async def work(tx: Any, version: Version | None) -> rpc.CreateStrategyResponse:
            strategy = Strategy(
                strategy_id=request.strategy_id,
                kind=kind,
                owner=caller().subject,
                project=project,
                display_name=request.display_name,
                description=request.description,
                labels=dict(request.labels),
            )
            made = await self._registry.create(tx, strategy, version)
            response = rpc.CreateStrategyResponse(strategy=convert.strategy(made))
            if version is not None:
                kept = await self._registry.version(tx, made, version.version)
                response.version.CopyFrom(convert.version(kept, whole=True))
            return response

        return await once(
            self._database, request, rpc.CreateStrategyResponse, work, prepare=prepare
        )

    async def GetStrategy(self, request: rpc.GetStrategyRequest, _: Any) -> Any:
        """Return a strategy."""
        project = caller().project(request.project)
        async with self._database.connection() as tx:
            found = await self._registry.get(tx, project, request.strategy_id)
        return rpc.GetStrategyResponse(strategy=convert.strategy(found))

    async def ListStrategies(self, request: rpc.ListStrategiesRequest, _: Any) -> Any:
        """Return strategies by id."""
        project = caller().project(request.project)
        wanted = page(request)
        key, _sign, value = request.label.partition("=")
        async with self._database.connection() as tx:
            rows = await self._registry.page(
                tx,
                project,
                convert.kind_name(request.kind),
                (key, value) if key else None,
                wanted.after[0] if wanted.after else "",
                wanted.size + 1,
            )
        rows, token = wanted.cut(rows, key=lambda row: (row.strategy_id,))
        return rpc.ListStrategiesResponse(
            strategies=[convert.strategy(row) for row in rows], next_page_token=token
        )

    async def UpdateStrategy(self, request: rpc.UpdateStrategyRequest, _: Any) -> Any:
        """Replace name, description and labels."""
        project = caller().project(request.project)

        async def work(tx: Any) -> rpc.UpdateStrategyResponse:
            found = await self._registry.get(tx, project, request.strategy_id)
            _check_etag(found, request.etag)
            changed = replace(
                found,
                display_name=request.display_name,
                description=request.description,
                labels=dict(request.labels),
            )
            made = await self._registry.update(tx, changed)
            return rpc.UpdateStrategyResponse(strategy=convert.strategy(made))

        return await once(self._database, request, rpc.UpdateStrategyResponse, work)

    async def DeleteStrategy(self, request: rpc.DeleteStrategyRequest, _: Any) -> Any:
        """Remove a strategy and its versions."""
        project = caller().project(request.project)

        async def work(tx: Any) -> rpc.DeleteStrategyResponse:
            found = await self._registry.get(tx, project, request.strategy_id)
            _check_etag(found, request.etag)
            await self._registry.delete(tx, found)
            return rpc.DeleteStrategyResponse()

        return await once(self._database, request, rpc.DeleteStrategyResponse, work)

    async def CreateStrategyVersion(self, request: rpc.CreateStrategyVersionRequest, _: Any) -> Any:
        """Load code and keep it."""
        project = caller().project(request.project)

        async def prepare() -> Version:
            source = convert.source(request.source)
            async with self._database.connection() as tx:
                strategy = await self._registry.get(tx, project, request.strategy_id)
                known = await self._registry.same_code(tx, strategy, source)
            if known is not None:
                return known
            return await self._load(project, request.strategy_id, strategy.kind, source)

        async def work(tx: Any, version: Version) -> rpc.CreateStrategyVersionResponse:
            made, existed = await self._registry.add_version(tx, version)
            return rpc.CreateStrategyVersionResponse(
                version=convert.version(made, whole=True), existed=existed
            )

        return await once(
            self._database, request, rpc.CreateStrategyVersionResponse, work, prepare=prepare
        )

    async def GetStrategyVersion(self, request: rpc.GetStrategyVersionRequest, _: Any) -> Any:
        """Return a version with source and schema."""
        found = await self._version(request.project, request.strategy_id, request.version)
        return rpc.GetStrategyVersionResponse(version=convert.version(found, whole=True))

    async def ListStrategyVersions(self, request: rpc.ListStrategyVersionsRequest, _: Any) -> Any:
        """Return the versions of a strategy, the newest first."""
        project = caller().project(request.project)
        wanted = page(request)
        before = int(wanted.after[0]) if wanted.after else None
        async with self._database.connection() as tx:
            strategy = await self._registry.get(tx, project, request.strategy_id)
            rows = await self._registry.versions(tx, strategy, before, wanted.size + 1)
        rows, token = wanted.cut(rows, key=lambda row: (str(row[0]),))
        return rpc.ListStrategyVersionsResponse(
            versions=[convert.version(v, whole=False) for _, v in rows], next_page_token=token
        )

    async def ValidateSource(self, request: rpc.ValidateSourceRequest, _: Any) -> Any:
        """Load code and keep nothing."""
        kind = convert.kind_name(request.kind)
        found = await self._load("", "", kind, convert.source(request.source))
        message = convert.version(found, whole=True)
        message.ClearField("owner")
        return rpc.ValidateSourceResponse(version=message)

    async def ValidateConfig(self, request: rpc.ValidateConfigRequest, _: Any) -> Any:
        """Check a config against a version's schema and, when asked, its class."""
        found = await self._version(request.project, request.strategy_id, request.version)
        config = to_json(request.config)
        faults = schema.violations(found.classes.config_schema, config)
        if request.exact and not faults:
            faults = await self._loader.check(found.kind, found.source, config)
        return rpc.ValidateConfigResponse(
            violations=[pb.ConfigViolation(path=p, description=d) for p, d in faults],
            version=found.version,
        )

    async def _version(self, wanted_project: str, strategy_id: str, version: str) -> Version:
        project = caller().project(wanted_project)
        async with self._database.connection() as tx:
            strategy = await self._registry.get(tx, project, strategy_id)
            return await self._registry.version(tx, strategy, version)

    async def _load(self, project: str, strategy_id: str, kind: str, source: Source) -> Version:
        source.verify(self._importable)
        classes = await self._loader.load(kind, source)
        return Version(
            strategy_id=strategy_id,
            project=project,
            version=source.version(kind),
            kind=kind,
            owner=caller().subject,
            source=source,
            classes=classes,
        )


def _check_etag(strategy: Strategy, etag: str) -> None:
    if etag and etag != str(strategy.revision):
        raise EtagMismatch(
            f"The strategy '{strategy.strategy_id}' changed since it was read. Read it again.",
            metadata={"etag": str(strategy.revision)},
        )
