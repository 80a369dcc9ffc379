"""What the service calls in a child process; the modules that do it are imported only there."""

from collections.abc import Mapping
from typing import Any

from meshkit.nautilus.venues.model import VenueInfo
from meshkit.nautilus.venues.plugins import Plugin


def scan_builtin() -> list[VenueInfo]:
    """Return every adapter of the installed Nautilus, by name."""
    from meshkit.nautilus.venues import scanning

    return scanning.scan_builtin()


def scan_plugin(plugin: Plugin) -> VenueInfo:
    """Return one plug-in; a broken one has its problem."""
    from meshkit.nautilus.venues import scanning

    return scanning.scan_plugin(plugin)


def check_config(venue: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config; raises the typed errors of ``checking.check_config``."""
    from meshkit.nautilus.venues import checking

    return checking.check_config(venue, config)


def check_exec_config(venue: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config; raises the typed errors of ``checking.check_exec_config``."""
    from meshkit.nautilus.venues import checking

    return checking.check_exec_config(venue, config)
