"""Adapters of one's own: entry points of the group ``nautilus_mesh.venues``."""

import importlib.metadata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from nautilus_trader.live.config import LiveDataClientConfig, LiveExecClientConfig
from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory

from meshkit.nautilus.venue_adapter import GROUP, VenueAdapter
from services.market_data.engine.venues.model import VenueInfo

_ROLES = {
    "data_config": LiveDataClientConfig,
    "data_factory": LiveDataClientFactory,
    "exec_config": LiveExecClientConfig,
    "exec_factory": LiveExecClientFactory,
}
_LONGEST_PROBLEM = 300


class Broken(Exception):
    """A plug-in that cannot be used; the text says why."""


@dataclass(frozen=True)
class Plugin:
    """An entry point that is not loaded yet: its name, its target and its distribution.

    ``problem`` is why it must not be loaded at all, as for a name that is taken.
    """

    name: str
    target: str
    distribution: str
    problem: str = ""

    @property
    def listed_name(self) -> str:
        """Return the name to list it by: its own, unless that is another's."""
        return f"{self.name}@{self.distribution}" if self.problem else self.name


def find(taken: Collection[str]) -> list[Plugin]:
    """Return the plug-ins installed, those of a name that is taken or given twice with a problem;
    nothing of them is imported.
    """
    points = importlib.metadata.entry_points(group=GROUP)
    unique = {(p.name, p.value, p.dist.name if p.dist else "unknown") for p in points}
    counts = Counter(name for name, _, _ in unique)
    return [
        Plugin(name, target, distribution, _problem(name, taken, counts[name]))
        for name, target, distribution in sorted(unique)
    ]


def load(plugin: Plugin) -> VenueAdapter:
    """Return the adapter of a plug-in; raises ``Broken``."""
    if plugin.problem:
        raise Broken(plugin.problem)
    point = importlib.metadata.EntryPoint(plugin.name, plugin.target, GROUP)
    try:
        adapter = point.load()
    except (Exception, SystemExit) as error:
        raise Broken(f"{plugin.target} could not be imported: {text_of(error)}") from None
    if not isinstance(adapter, VenueAdapter):
        raise Broken(f"{plugin.target} is no VenueAdapter of meshkit.nautilus.venue_adapter.")
    _check(plugin, adapter)
    return adapter


def broken(plugin: Plugin, problem: str) -> VenueInfo:
    """Return what is told of a plug-in that cannot be used."""
    return VenueInfo(
        venue=plugin.listed_name,
        module=plugin.target.partition(":")[0],
        data=False,
        execution=False,
        available=False,
        problem=problem,
        plugin=plugin.distribution,
    )


def text_of(error: BaseException) -> str:
    """Return an error as one short line, with its kind."""
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line}"[:_LONGEST_PROBLEM]


def _check(plugin: Plugin, adapter: VenueAdapter) -> None:
    if adapter.name != plugin.name:
        raise Broken(
            f"The adapter's name is {adapter.name} and its entry point's is {plugin.name}. "
            "Make them equal."
        )
    for role, base in _ROLES.items():
        value = getattr(adapter, role)
        if value is not None and not (isinstance(value, type) and issubclass(value, base)):
            raise Broken(f"{role} is no subclass of {base.__name__}.")
    if (adapter.data_config is None) != (adapter.data_factory is None):
        raise Broken("data_config and data_factory go together: give both or none.")
    if (adapter.exec_config is None) != (adapter.exec_factory is None):
        raise Broken("exec_config and exec_factory go together: give both or none.")


def _problem(name: str, taken: Collection[str], count: int) -> str:
    if name != name.upper() or not name.isascii() or "@" in name or "-" in name:
        return f"The name {name} is not upper case ASCII without - and @. Rename its entry point."
    if name in taken:
        return f"The name {name} is that of a built-in adapter. Rename its entry point."
    if count > 1:
        return f"The name {name} is given by {count} plug-ins. Remove or rename all but one."
    return ""
