"""Strategies and versions: what they are and what may be done with them."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from services.strategy.errors import (
    ImportNotAllowed,
    SourceInvalid,
    StrategyExists,
    StrategyNotFound,
    StrategyVersionAmbiguous,
    StrategyVersionNotFound,
)

MAX_SOURCE_BYTES = 2**20
LATEST = "latest"
Json = Mapping[str, Any]
Violations = list[tuple[str, str]]
"""(JSON path, what is wrong) of each fault of a config."""


@dataclass(frozen=True)
class Source:
    """Code: files as (path, text), or an importable path; and the class to take of several."""

    files: tuple[tuple[str, str], ...] = ()
    importable_path: str = ""
    class_name: str = ""

    def version(self, kind: str) -> str:
        """Return the SHA-256 of all that decides what runs, as 64 hexadecimal digits."""
        content = [kind, sorted(self.files), self.importable_path, self.class_name]
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def verify(self, importable: tuple[str, ...]) -> None:
        """Raise when the source may not be loaded at all."""
        if self.importable_path:
            module = self.importable_path.partition(":")[0]
            if not any(module == name or module.startswith(f"{name}.") for name in importable):
                raise ImportNotAllowed(
                    f"The mesh does not allow importing '{module}'. Send the source instead.",
                    metadata={"importable_path": self.importable_path},
                )
        paths = [path for path, _ in self.files]
        if len(set(paths)) != len(paths):
            raise SourceInvalid("Two files have the same path.", metadata={"stage": "source"})
        if sum(len(text.encode()) for _, text in self.files) > MAX_SOURCE_BYTES:
            raise SourceInvalid(
                "The files are larger than 1 MiB together.", metadata={"stage": "source"}
            )


@dataclass(frozen=True)
class Classes:
    """What loading the source found: class names and the config's JSON Schema."""

    class_name: str
    config_class_name: str
    config_schema: Json

    @property
    def required(self) -> list[str]:
        """Fields of the config without a default."""
        return [str(name) for name in self._definition.get("required", ())]

    @property
    def defaults(self) -> dict[str, Any]:
        """Value of each field that has a default."""
        fields = self._definition.get("properties", {})
        return {name: field["default"] for name, field in fields.items() if "default" in field}

    @property
    def _definition(self) -> Json:
        root = str(self.config_schema.get("$ref", "")).rpartition("/")[2]
        found: Json = self.config_schema.get("$defs", {}).get(root, self.config_schema)
        return found


class Loader(Protocol):
    """Runs code of users, away from this process and within limits."""

    async def load(self, kind: str, source: Source) -> Classes:
        """Return what the source holds; raises a typed error that says what is wrong where."""

    async def check(self, kind: str, source: Source, config: Json) -> Violations:
        """Return what is wrong with a config when the component is made with it; raises as
        ``load`` does.
        """


@dataclass(frozen=True)
class Strategy:
    """A named component; ``revision`` counts its changes and is its etag."""

    strategy_id: str
    kind: str
    owner: str
    project: str
    display_name: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    latest_version: str = ""
    version_count: int = 0
    revision: int = 1
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True)
class Version:
    """One immutable version of a strategy."""

    strategy_id: str
    project: str
    version: str
    kind: str
    owner: str
    source: Source
    classes: Classes
    create_time: datetime | None = None


class Store(Protocol):
    """What the use cases need of the store; ``tx`` is a transaction or connection of it."""

    async def insert(self, tx: Any, strategy: Strategy) -> Strategy | None:
        """Store a strategy; None when the id is taken."""

    async def find(self, tx: Any, project: str, strategy_id: str) -> Strategy | None:
        """Return a strategy, locked against changes inside a transaction."""

    async def update(self, tx: Any, strategy: Strategy) -> Strategy:
        """Store what changed and count the revision."""

    async def delete(self, tx: Any, strategy: Strategy) -> None:
        """Remove a strategy with its versions."""

    async def insert_version(self, tx: Any, version: Version) -> Version | None:
        """Store a version; None when it is there already."""

    async def find_versions(
        self, tx: Any, project: str, strategy_id: str, prefix: str
    ) -> list[Version]:
        """Return the versions whose hash begins with ``prefix``, at most two."""

    async def page(
        self,
        tx: Any,
        project: str,
        kind: str,
        label: tuple[str, str] | None,
        after: str,
        limit: int,
    ) -> list[Strategy]:
        """Return strategies with ids above ``after``, by id; an empty kind is any."""

    async def list_versions(
        self, tx: Any, project: str, strategy_id: str, before: int | None, limit: int
    ) -> list[tuple[int, Version]]:
        """Return versions without their code, with their running numbers, the newest first, below
        number ``before``.
        """


Tell = Callable[[Any, Strategy, bool], Awaitable[None]]
"""Writes the fact that a strategy changed (or, with True, is deleted) into the transaction."""


class Registry:
    """The use cases. Each runs inside the caller's transaction."""

    def __init__(self, store: Store, tell: Tell) -> None:
        self._store = store
        self._tell = tell

    async def get(self, tx: Any, project: str, strategy_id: str) -> Strategy:
        """Return a strategy or raise ``StrategyNotFound``."""
        found = await self._store.find(tx, project, strategy_id)
        if found is None:
            raise StrategyNotFound(
                f"There is no strategy '{strategy_id}' in project '{project}'.",
                metadata={"strategy_id": strategy_id},
            )
        return found

    async def create(self, tx: Any, strategy: Strategy, version: Version | None) -> Strategy:
        """Create a strategy, with its first version when there is one."""
        made = await self._store.insert(tx, strategy)
        if made is None:
            raise StrategyExists(
                f"The strategy id '{strategy.strategy_id}' is taken. "
                "Choose another, or add a version to it.",
                metadata={"strategy_id": strategy.strategy_id},
            )
        if version is None:
            await self._tell(tx, made, False)
            return made
        await self._store.insert_version(tx, version)
        return await self._with_version(tx, made, version)

    async def add_version(self, tx: Any, version: Version) -> tuple[Version, bool]:
        """Keep a version; True when the same code was kept before."""
        strategy = await self.get(tx, version.project, version.strategy_id)
        made = await self._store.insert_version(tx, version)
        if made is None:
            return await self.version(tx, strategy, version.version), True
        await self._with_version(tx, strategy, version)
        return made, False

    async def _with_version(self, tx: Any, strategy: Strategy, version: Version) -> Strategy:
        changed = await self._store.update(
            tx,
            replace(
                strategy,
                latest_version=version.version,
                version_count=strategy.version_count + 1,
            ),
        )
        await self._tell(tx, changed, False)
        return changed

    async def update(self, tx: Any, strategy: Strategy) -> Strategy:
        """Store changed fields of a strategy."""
        changed = await self._store.update(tx, strategy)
        await self._tell(tx, changed, False)
        return changed

    async def delete(self, tx: Any, strategy: Strategy) -> None:
        """Remove a strategy with its versions."""
        await self._store.delete(tx, strategy)
        await self._tell(tx, strategy, True)

    async def page(
        self,
        tx: Any,
        project: str,
        kind: str,
        label: tuple[str, str] | None,
        after: str,
        limit: int,
    ) -> list[Strategy]:
        """Return strategies with ids above ``after``, by id; an empty kind is any."""
        return await self._store.page(tx, project, kind, label, after, limit)

    async def versions(
        self, tx: Any, strategy: Strategy, before: int | None, limit: int
    ) -> list[tuple[int, Version]]:
        """Return versions without code, with their numbers, the newest first, below ``before``."""
        return await self._store.list_versions(
            tx, strategy.project, strategy.strategy_id, before, limit
        )

    async def same_code(self, tx: Any, strategy: Strategy, source: Source) -> Version | None:
        """Return the version that holds this very code, None when there is none."""
        found = await self._store.find_versions(
            tx, strategy.project, strategy.strategy_id, source.version(strategy.kind)
        )
        return found[0] if found else None

    async def version(self, tx: Any, strategy: Strategy, wanted: str) -> Version:
        """Return the version that a hash, a prefix of one, or ``latest`` names."""
        prefix = strategy.latest_version if wanted == LATEST else wanted
        project, strategy_id = strategy.project, strategy.strategy_id
        found = await self._store.find_versions(tx, project, strategy_id, prefix) if prefix else []
        metadata = {"strategy_id": strategy_id, "version": wanted}
        if not found:
            raise StrategyVersionNotFound(
                f"The strategy '{strategy_id}' has no version '{wanted}'.", metadata=metadata
            )
        if len(found) > 1:
            raise StrategyVersionAmbiguous(
                f"Several versions of '{strategy_id}' begin with '{wanted}'. Give more digits.",
                metadata=metadata,
            )
        return found[0]
