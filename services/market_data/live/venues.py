"""What venues there are, and whether a config fits one. No adapter is imported in this process."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from meshkit.nautilus.venues import plugins
from meshkit.nautilus.venues.calls import check_config, scan_builtin, scan_plugin
from meshkit.nautilus.venues.errors import VenueBroken
from meshkit.nautilus.venues.model import REPLAY, VenueInfo, not_found
from services.market_data.child import ChildDied, in_child
from services.market_data.errors import bad_field
from services.market_data.live.replay_config import SCHEMA, parse_replay

FIELD = "config_json"
SECONDS = 20.0
"""What one adapter may take to be imported."""

_AT_ONCE = 2
"""Plug-ins that are imported at the same time."""


class Venues:
    """The adapters of the installed Nautilus, REPLAY and the plug-ins.

    They are looked at once, at the first question: what is installed later needs a restart.
    ``seconds`` is what one plug-in, or the check of one config, may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._scan: asyncio.Task[dict[str, VenueInfo]] | None = None

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
        try:
            async with asyncio.timeout(self._seconds):
                return await in_child(check_config, venue, config)
        except (ChildDied, TimeoutError):
            raise VenueBroken(
                f"The adapter of {venue} did not survive the check of this config.",
                metadata={"venue": venue, "plugin": ""},
            ) from None

    async def _scanned(self) -> Mapping[str, VenueInfo]:
        """Return what was found; a caller that gives up does not end the search for others."""
        if self._scan is None or (self._scan.done() and self._scan.exception()):
            self._scan = asyncio.create_task(_scan(self._seconds))
        return await asyncio.shield(self._scan)


async def _scan(seconds: float) -> dict[str, VenueInfo]:
    builtin = [*await in_child(scan_builtin), _replay()]
    found = plugins.find(taken={told.venue for told in builtin})
    turns = asyncio.Semaphore(_AT_ONCE)
    told = await asyncio.gather(*(_plugin(plugin, seconds, turns) for plugin in found))
    return {each.venue: each for each in [*builtin, *told]}


async def _plugin(plugin: plugins.Plugin, seconds: float, turns: asyncio.Semaphore) -> VenueInfo:
    """Return what is told of a plug-in; it may end its process, or never answer."""
    try:
        async with turns, asyncio.timeout(seconds):
            return await in_child(scan_plugin, plugin)
    except ChildDied:
        return plugins.broken(plugin, "Its import ended the process.")
    except TimeoutError:
        return plugins.broken(plugin, f"Its import took longer than {seconds:g} s.")


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
