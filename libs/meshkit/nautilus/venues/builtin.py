"""The adapters of the installed Nautilus, found in its source: imported only where asked for."""

import ast
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues.facts import FACTS, NOT_VENUES, Facts

PACKAGE = "nautilus_trader.adapters"
EXTRAS = frozenset(facts.extra for facts in FACTS.values() if facts.extra)
"""Extras of nautilus_trader that adapters need."""
_BASES = {
    "LiveDataClientConfig": "data_config",
    "LiveDataClientFactory": "data_factory",
    "LiveExecClientConfig": "exec_config",
    "LiveExecClientFactory": "exec_factory",
}
_FILES = ("config.py", "factories.py", "factory.py")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+).*; extra == ['\"]([\w-]+)['\"]")


@dataclass(frozen=True)
class Source:
    """An adapter as its source shows it; ``classes`` are (module, name) by field of
    ``VenueAdapter``.
    """

    folder: str
    facts: Facts
    classes: dict[str, tuple[str, str]]

    @property
    def module(self) -> str:
        """Return the adapter's module."""
        return f"{PACKAGE}.{self.folder}"


def sources() -> list[Source]:
    """Return every adapter of the installed Nautilus, by name."""
    found = importlib.util.find_spec(PACKAGE)
    assert found is not None
    assert found.submodule_search_locations is not None
    root = Path(found.submodule_search_locations[0])
    folders = sorted(path.parent for path in root.glob("*/__init__.py"))
    made = [_source(folder) for folder in folders if folder.name not in NOT_VENUES]
    return sorted(made, key=lambda source: source.facts.name)


def load(source: Source) -> VenueAdapter:
    """Return the adapter with its classes imported; raises what their import raises."""
    classes: dict[str, Any] = {
        role: getattr(importlib.import_module(module), name)
        for role, (module, name) in source.classes.items()
    }
    return replace(outline(source.facts), **classes)


def outline(facts: Facts) -> VenueAdapter:
    """Return the adapter without its classes."""
    return VenueAdapter(
        name=facts.name,
        extra=facts.extra,
        packages=packages(facts.extra),
        secrets=facts.secrets,
        required=facts.required,
        venues=(facts.name,) if facts.venues is None else facts.venues,
        notes=facts.notes,
        loads_all=facts.loads_all,
        refused=facts.refused,
        field_types=facts.field_types,
    )


def packages(extra: str) -> tuple[str, ...]:
    """Return the packages of an extra of nautilus_trader."""
    lines = importlib.metadata.requires("nautilus_trader") or []
    matches = (_REQUIREMENT.match(line) for line in lines)
    return tuple(match[1] for match in matches if match is not None and match[2] == extra)


def installed(distribution: str) -> bool:
    """Return whether a distribution is installed, in any version."""
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _source(folder: Path) -> Source:
    facts = FACTS.get(folder.name) or Facts(folder.name.upper())
    classes = {
        role: (f"{PACKAGE}.{folder.name}.{file.stem}", name)
        for file in map(folder.joinpath, _FILES)
        if file.exists()
        for role, name in _classes(file)
    }
    return Source(folder.name, facts, classes)


def _classes(file: Path) -> Iterator[tuple[str, str]]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in _BASES:
                    yield _BASES[base.id], node.name
