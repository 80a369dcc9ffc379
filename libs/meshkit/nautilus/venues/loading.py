"""A plug-in → its adapter: somebody's code is imported."""

import importlib.metadata

from nautilus_trader.live.config import LiveDataClientConfig, LiveExecClientConfig
from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory

from meshkit.nautilus.venue_adapter import GROUP, VenueAdapter
from meshkit.nautilus.venues.plugins import Plugin

_ROLES = {
    "data_config": LiveDataClientConfig,
    "data_factory": LiveDataClientFactory,
    "exec_config": LiveExecClientConfig,
    "exec_factory": LiveExecClientFactory,
}
_LONGEST_PROBLEM = 300


class Broken(Exception):
    """A plug-in that cannot be used; the text says why."""


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
