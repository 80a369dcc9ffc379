"""What venues there are, and whether a config fits one. No adapter is imported in this process."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from services.market_data.child import ChildDied, in_child
from services.market_data.engine.venues import plugins
from services.market_data.engine.venues.calls import check_config, scan_builtin, scan_plugin
from services.market_data.engine.venues.model import REPLAY, VenueInfo, not_found
from services.market_data.errors import VenueBroken, bad_field
from services.market_data.live.replay_config import SCHEMA, parse_replay

FIELD = "config_json"
_PLUGIN_SECONDS = 20.0
"""What one plug-in may take to be imported."""


class Venues:
    """The adapters of the installed Nautilus, REPLAY and the plug-ins.

    They are looked at once, at the first question: what is installed later needs a restart.
    """

    def __init__(self) -> None:
        self._found: dict[str, VenueInfo] | None = None
        self._lock = asyncio.Lock()

    async def list(self) -> "list[VenueInfo]":
        """Return all by name, with those that cannot be used."""
        found = await self._scanned()
        return [found[name] for name in sorted(found)]

    async def get(self, venue: str) -> VenueInfo:
        """Return one; raises ``VenueNotFound``."""
        found = await self._scanned()
        if venue not in found:
            raise not_found(venue, found)
        return found[venue]

    async def check(self, venue: str, config_json: str) -> dict[str, Any]:
        """Return the config of a feed, which the venue's data client takes; empty text is ``{}``.

        Raises ``VenueNotFound``, ``VenueWithoutData``, ``VenueExtraMissing``, ``VenueBroken``,
        ``SecretInConfig``, or ``InvalidArgument`` naming ``config_json.<field>``.
        """
        config = _parsed(config_json)
        if venue == REPLAY:
            parse_replay(config, field=FIELD)
            return config
        told = await self.get(venue)
        try:
            async with asyncio.timeout(_PLUGIN_SECONDS):
                return await in_child(check_config, venue, config)
        except (ChildDied, TimeoutError):
            raise VenueBroken(
                f"The adapter of {venue} did not survive the check of this config.",
                metadata={"venue": venue, "plugin": told.plugin},
            ) from None

    async def _scanned(self) -> Mapping[str, VenueInfo]:
        async with self._lock:
            if self._found is None:
                self._found = await _scan()
            return self._found


async def _scan() -> dict[str, VenueInfo]:
    builtin = [*await in_child(scan_builtin), _replay()]
    found = {told.venue: told for told in builtin}
    for plugin in plugins.find(taken=frozenset(found)):
        told = await _plugin(plugin)
        found[told.venue] = told
    return found


async def _plugin(plugin: plugins.Plugin) -> VenueInfo:
    """Return what is told of a plug-in; it may end its process, or never answer."""
    try:
        async with asyncio.timeout(_PLUGIN_SECONDS):
            return await in_child(scan_plugin, plugin)
    except ChildDied:
        return plugins.broken(plugin, "Its import ended the process.")
    except TimeoutError:
        return plugins.broken(plugin, f"Its import took longer than {_PLUGIN_SECONDS:.0f} s.")


def _replay() -> VenueInfo:
    return VenueInfo(
        venue=REPLAY,
        module="services.market_data.engine.replay",
        data=True,
        execution=False,
        available=True,
        config_schema=json.dumps(SCHEMA),
        notes=("It plays the project's stored data as if it were live.",),
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise bad_field(FIELD, f"is not JSON{where}") from None
    if not isinstance(config, dict):
        raise bad_field(FIELD, "must be a JSON object")
    return config


def _refuse(constant: str) -> None:
    raise ValueError(constant)
