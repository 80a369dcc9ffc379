"""Strategies, actors and execution algorithms, and their versions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc.aio

from mesh.strategy.v1 import strategy_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshclient.errors import MeshClientError
from meshclient.group import Group, new_request_id

KINDS = {
    "strategy": pb.COMPONENT_KIND_STRATEGY,
    "actor": pb.COMPONENT_KIND_ACTOR,
    "exec-algorithm": pb.COMPONENT_KIND_EXEC_ALGORITHM,
}


class Strategies(Group):
    """``mesh.strategies``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return StrategyServiceStub(channel)

    async def create(
        self,
        strategy_id: str,
        source: pb.StrategySource | None = None,
        *,
        kind: str = "strategy",
        display_name: str = "",
        description: str = "",
        labels: dict[str, str] | None = None,
    ) -> rpc.CreateStrategyResponse:
        """Make a strategy, with a first version when a source is given."""
        request = rpc.CreateStrategyRequest(
            request_id=new_request_id(),
            project=self._project,
            strategy_id=strategy_id,
            kind=KINDS[kind],
            display_name=display_name,
            description=description,
            labels=labels or {},
            source=source,
        )
        reply: rpc.CreateStrategyResponse = await self._call("CreateStrategy", request)
        return reply

    async def add(
        self, strategy_id: str, source: pb.StrategySource, *, kind: str = "strategy"
    ) -> tuple[pb.StrategyVersion, bool]:
        """Add a version, making the strategy when there is none.

        Returns the version and whether this very code was there before.
        """
        try:
            reply = await self.create(strategy_id, source, kind=kind)
            return reply.version, False
        except MeshClientError as error:
            if error.reason != "STRATEGY_EXISTS":
                raise
        request = rpc.CreateStrategyVersionRequest(
            request_id=new_request_id(),
            strategy_id=strategy_id,
            project=self._project,
            source=source,
        )
        added = await self._call("CreateStrategyVersion", request)
        return added.version, added.existed

    async def get(self, strategy_id: str) -> pb.Strategy:
        """Return a strategy."""
        request = rpc.GetStrategyRequest(strategy_id=strategy_id, project=self._project)
        found: pb.Strategy = (await self._call("GetStrategy", request)).strategy
        return found

    async def list(
        self, *, kind: str = "", label: str = "", limit: int | None = None
    ) -> Sequence[pb.Strategy]:
        """Return the strategies of the project, in the order of their ids."""
        request = rpc.ListStrategiesRequest(
            project=self._project,
            kind=KINDS[kind] if kind else pb.COMPONENT_KIND_UNSPECIFIED,
            label=label,
        )
        return [each async for each in self._pages("ListStrategies", request, "strategies", limit)]

    async def delete(self, strategy_id: str) -> None:
        """Remove a strategy and its versions; runs keep their own copy of the code."""
        request = rpc.DeleteStrategyRequest(
            request_id=new_request_id(), strategy_id=strategy_id, project=self._project
        )
        await self._call("DeleteStrategy", request)

    async def version(self, strategy_id: str, version: str = "latest") -> pb.StrategyVersion:
        """Return a version with its source and config schema."""
        request = rpc.GetStrategyVersionRequest(
            strategy_id=strategy_id, version=version or "latest", project=self._project
        )
        found: pb.StrategyVersion = (await self._call("GetStrategyVersion", request)).version
        return found

    async def versions(
        self, strategy_id: str, *, limit: int | None = None
    ) -> Sequence[pb.StrategyVersion]:
        """Return the versions of a strategy, the newest first, without source and schema."""
        request = rpc.ListStrategyVersionsRequest(strategy_id=strategy_id, project=self._project)
        pages = self._pages("ListStrategyVersions", request, "versions", limit)
        return [each async for each in pages]

    async def validate(self, source: pb.StrategySource, kind: str = "strategy") -> Any:
        """Load code as ``add`` does and keep nothing; return the version as it would be."""
        request = rpc.ValidateSourceRequest(kind=KINDS[kind], source=source)
        return (await self._call("ValidateSource", request)).version

    async def validate_config(
        self, strategy_id: str, config: dict[str, Any], version: str = "latest"
    ) -> Sequence[pb.ConfigViolation]:
        """Return what is wrong with a config; nothing means that it fits."""
        request = rpc.ValidateConfigRequest(
            strategy_id=strategy_id, version=version or "latest", project=self._project
        )
        request.config.update(config)
        reply: rpc.ValidateConfigResponse = await self._call("ValidateConfig", request)
        return tuple(reply.violations)


def source_from(path: str | Path, class_name: str = "") -> pb.StrategySource:
    """Return the code at a path: a `.py` file is a module, a folder a package.

    Text of the form ``package.module:Class`` names code that the mesh has installed.
    """
    text, file = str(path), Path(path)
    if ":" in text and not file.exists():
        return pb.StrategySource(importable_path=text)
    try:
        files = _files(file)
    except OSError as error:
        raise _unreadable(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _unreadable(f"{file} holds a file that is not UTF-8") from None
    if not files:
        raise _unreadable(f"{file} holds no Python file")
    return pb.StrategySource(files=files, class_name=class_name)


def _files(path: Path) -> list[pb.SourceFile]:
    if not path.is_dir():
        return [pb.SourceFile(path=path.name, text=path.read_text("utf-8"))]
    return [
        pb.SourceFile(path=each.relative_to(path).as_posix(), text=each.read_text("utf-8"))
        for each in sorted(path.rglob("*.py"))
        if not any(part.startswith(".") for part in each.relative_to(path).parts)
    ]


def _unreadable(message: str) -> MeshClientError:
    return MeshClientError(message, code="INVALID_ARGUMENT", reason="FILE_UNREADABLE")
