"""What is told of a venue: plain values that travel between processes."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from meshkit.nautilus.venues.errors import VenueNotFound

REPLAY = "REPLAY"


@dataclass(frozen=True)
class Credential:
    """A secret of an adapter: its config field and the environment variables that give it.

    Which of the variables is read depends on the config, such as its ``environment``.
    """

    field: str
    environment: tuple[str, ...]
    required: bool = False


@dataclass(frozen=True)
class VenueInfo:
    """An adapter: what it can do and what it needs.

    ``module`` is where its code is. ``config_schema`` is JSON Schema as text, empty without data
    and while it is not available, as ``exec_config_schema`` is without execution; ``data_config``
    is the dotted path of the config class. ``nautilus_venues`` are those of its instruments, none
    for those of many exchanges. ``problem`` is why it is not available and what to do. ``plugin``
    is the distribution that brings it, empty for what is built in.
    """

    venue: str
    module: str
    data: bool
    execution: bool
    available: bool
    extra: str = ""
    missing_packages: tuple[str, ...] = ()
    problem: str = ""
    data_config: str = ""
    config_schema: str = ""
    exec_config_schema: str = ""
    credentials: tuple[Credential, ...] = ()
    url_fields: tuple[str, ...] = ()
    nautilus_venues: tuple[str, ...] = ()
    plugin: str = ""
    notes: tuple[str, ...] = ()


def not_found(venue: str, known: Iterable[str]) -> VenueNotFound:
    """Return the error of a name that no adapter has."""
    names = sorted(known)
    near = get_close_matches(venue.upper(), names, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return VenueNotFound(
        f"There is no venue '{venue}'. {hint}Known are {', '.join(names)}.",
        metadata={"venue": venue, "known": ",".join(names)},
    )
