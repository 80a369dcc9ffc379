"""A venue's name → its adapter with its classes, or the typed error of why there is none."""

from meshkit.nautilus.venue_adapter import VenueAdapter
from services.market_data.engine.venues import builtin, loading, plugins
from services.market_data.engine.venues.builtin import Source
from services.market_data.engine.venues.loading import text_of
from services.market_data.engine.venues.model import REPLAY, not_found
from services.market_data.engine.venues.plugins import Plugin
from services.market_data.errors import (
    VenueBroken,
    VenueExtraMissing,
    VenueWithoutData,
)


def data_adapter(venue: str) -> VenueAdapter:
    """Return the adapter of a venue that gives data.

    Raises ``VenueNotFound``, ``VenueWithoutData``, ``VenueExtraMissing`` or ``VenueBroken``.
    """
    sources = {source.facts.name: source for source in builtin.sources()}
    found = {plugin.listed_name: plugin for plugin in plugins.find(taken={*sources, REPLAY})}
    if venue in sources:
        return _builtin(sources[venue])
    if venue in found:
        return _plugin(found[venue])
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


def _builtin(source: Source) -> VenueAdapter:
    name = source.facts.name
    if "data_factory" not in source.classes:
        raise _without_data(name, source.facts.problem)
    _refuse_missing(builtin.outline(source.facts))
    try:
        return builtin.load(source)
    except Exception as error:  # whatever the import of somebody's module raises
        raise _broken(name, f"It could not be imported: {text_of(error)}") from None


def _plugin(plugin: Plugin) -> VenueAdapter:
    try:
        adapter = loading.load(plugin)
    except loading.Broken as error:
        raise _broken(plugin.listed_name, str(error), plugin.distribution) from None
    if adapter.data_factory is None:
        raise _without_data(adapter.name, "")
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


def _broken(venue: str, problem: str, plugin: str = "") -> VenueBroken:
    return VenueBroken(
        f"The adapter of {venue} cannot be used. {problem}",
        metadata={"venue": venue, "plugin": plugin},
    )
