"""A venue's name → its adapter with its classes, or the typed error of why there is none."""

from collections.abc import Callable

from meshkit.errors import MeshError
from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues import builtin, loading, plugins
from meshkit.nautilus.venues.builtin import Source
from meshkit.nautilus.venues.errors import (
    VenueBroken,
    VenueExtraMissing,
    VenueWithoutData,
    VenueWithoutOrders,
)
from meshkit.nautilus.venues.loading import text_of
from meshkit.nautilus.venues.model import REPLAY, not_found
from meshkit.nautilus.venues.plugins import Plugin

type Without = Callable[[str, str], MeshError]
"""Makes the error of an adapter that lacks a role, from its name and problem."""


def data_adapter(venue: str) -> VenueAdapter:
    """Return the adapter of a venue that gives data.

    Raises ``VenueNotFound``, ``VenueWithoutData``, ``VenueExtraMissing`` or ``VenueBroken``.
    """
    return _adapter(venue, "data_factory", _without_data)


def exec_adapter(venue: str) -> VenueAdapter:
    """Return the adapter of a venue that takes orders; raises as ``data_adapter``, and
    ``VenueWithoutOrders``.
    """
    return _adapter(venue, "exec_factory", _without_orders)


def _adapter(venue: str, role: str, without: Without) -> VenueAdapter:
    sources = {source.facts.name: source for source in builtin.sources()}
    found = {plugin.listed_name: plugin for plugin in plugins.find(taken={*sources, REPLAY})}
    if venue in sources:
        return _builtin(sources[venue], role, without)
    if venue in found:
        return _plugin(found[venue], role, without)
    raise not_found(venue, [*sources, *found, REPLAY])


def extra_problem(adapter: VenueAdapter) -> tuple[tuple[str, ...], str]:
    """Return the packages that an adapter lacks and what to do, empty when it lacks none."""
    lacks = tuple(name for name in adapter.packages if not builtin.installed(name))
    if not lacks:
        return (), ""
    return lacks, (
        f"It needs packages that are not installed: {', '.join(lacks)}. "
        f"Install them for the market-data service and restart it: {_remedy(adapter, lacks)}"
    )


def _remedy(adapter: VenueAdapter, lacks: tuple[str, ...]) -> str:
    if adapter.extra in builtin.EXTRAS:
        return f'pip install "nautilus_trader[{adapter.extra}]"'
    return f'pip install "{adapter.extra}"' if adapter.extra else f"pip install {' '.join(lacks)}"


def _builtin(source: Source, role: str, without: Without) -> VenueAdapter:
    name = source.facts.name
    if role not in source.classes:
        raise without(name, source.facts.problem)
    _refuse_missing(builtin.outline(source.facts))
    try:
        return builtin.load(source)
    except Exception as error:  # whatever the import of somebody's module raises
        raise _broken(name, f"It could not be imported: {text_of(error)}") from None


def _plugin(plugin: Plugin, role: str, without: Without) -> VenueAdapter:
    try:
        adapter = loading.load(plugin)
    except loading.Broken as error:
        raise _broken(plugin.listed_name, str(error), plugin.distribution) from None
    if getattr(adapter, role) is None:
        raise without(adapter.name, "")
    _refuse_missing(adapter)
    return adapter


def _refuse_missing(adapter: VenueAdapter) -> None:
    lacks, problem = extra_problem(adapter)
    if lacks:
        raise VenueExtraMissing(
            f"The adapter of {adapter.name} cannot be used. {problem}",
            metadata={"venue": adapter.name, "extra": adapter.extra, "packages": ",".join(lacks)},
        )


def _without_data(venue: str, problem: str) -> VenueWithoutData:
    return VenueWithoutData(
        f"{venue} gives no market data. {problem or 'Choose a venue that does.'}",
        metadata={"venue": venue},
    )


def _without_orders(venue: str, problem: str) -> VenueWithoutOrders:
    return VenueWithoutOrders(
        f"{venue} takes no orders. {problem or 'Choose a venue that does.'}",
        metadata={"venue": venue},
    )


def _broken(venue: str, problem: str, plugin: str = "") -> VenueBroken:
    return VenueBroken(
        f"The adapter of {venue} cannot be used. {problem}",
        metadata={"venue": venue, "plugin": plugin},
    )
