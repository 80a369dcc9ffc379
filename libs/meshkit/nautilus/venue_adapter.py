"""What an adapter of one's own hands to the mesh: an entry point of the group
``nautilus_mesh.venues`` names one of these.
"""

from __future__ import annotations  # the classes below are for the type checker: they weigh 36 MB

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nautilus_trader.live.config import LiveDataClientConfig, LiveExecClientConfig
    from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory

GROUP = "nautilus_mesh.venues"


@dataclass(frozen=True)
class VenueAdapter:
    """A venue, or a vendor of data, and the classes that reach it.

    ``name`` is upper case and equals the entry point's name. ``secrets`` gives, for each config
    field that is a secret, the environment variables from which the factory reads it when the
    field is None: the mesh never takes a secret in a config. ``required`` are those without which
    there is no market data. ``packages`` are distributions that it needs and ``extra`` is what to
    install for them, such as ``my-adapter[live]``. ``url_fields`` are config fields that point it
    at another address. ``venues`` are the Nautilus venues of its instruments, none for those of
    many exchanges. ``loads_all`` says that it can load all instruments of the venue at its start;
    otherwise it is told which are wanted. ``refused`` are config fields that are not taken.
    ``field_types`` replaces annotations that have no JSON Schema.
    """

    name: str
    data_config: type[LiveDataClientConfig] | None = None
    data_factory: type[LiveDataClientFactory] | None = None
    exec_config: type[LiveExecClientConfig] | None = None
    exec_factory: type[LiveExecClientFactory] | None = None
    extra: str = ""
    packages: tuple[str, ...] = ()
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    url_fields: tuple[str, ...] = ()
    venues: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    loads_all: bool = True
    refused: tuple[str, ...] = ()
    field_types: Mapping[str, object] = field(default_factory=dict)
