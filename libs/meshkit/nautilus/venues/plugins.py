"""Adapters of one's own: entry points of the group ``nautilus_mesh.venues``, not yet imported."""

import importlib.metadata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from meshkit.nautilus.venue_adapter import GROUP
from meshkit.nautilus.venues.model import VenueInfo


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


def _problem(name: str, taken: Collection[str], count: int) -> str:
    if name != name.upper() or not name.isascii() or "@" in name or "-" in name:
        return f"The name {name} is not upper case ASCII without - and @. Rename its entry point."
    if name in taken:
        return f"The name {name} is that of a built-in adapter. Rename its entry point."
    if count > 1:
        return f"The name {name} is given by {count} plug-ins. Remove or rename all but one."
    return ""
