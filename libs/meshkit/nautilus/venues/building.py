"""A venue and its config → what a TradingNode needs for its clients."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from nautilus_trader.live.config import (
    LiveDataClientConfig,
    LiveExecClientConfig,
    RoutingConfig,
)
from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory
from nautilus_trader.model.identifiers import InstrumentId

from meshkit.errors import bad_field
from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues.checking import make_config, make_exec_config
from meshkit.nautilus.venues.errors import VenueCredentialMissing
from meshkit.nautilus.venues.lookup import data_adapter, exec_adapter


@dataclass(frozen=True)
class Built:
    """A data client to add to a node: its name, its config and its factory.

    ``loads_all`` says whether it loads all instruments of the venue at its start; otherwise only
    those wanted, and a later one has to be requested before it is subscribed to.
    """

    name: str
    config: LiveDataClientConfig
    factory: type[LiveDataClientFactory]
    loads_all: bool


@dataclass(frozen=True)
class BuiltExec:
    """An execution client to add to a node: its adapter, its config and its factory."""

    name: str
    config: LiveExecClientConfig
    factory: type[LiveExecClientFactory]


def build(
    venue: str,
    config: Mapping[str, Any],
    wanted: Iterable[str] = (),
    *,
    environ: Mapping[str, str],
) -> Built:
    """Return the data client of a venue, for a feed that wants these instrument ids.

    The config was checked when the feed was made, and is checked again: packages change. Raises
    what ``check_config`` raises, and ``VenueCredentialMissing`` when the environment lacks a
    secret without which the venue gives no data.
    """
    adapter = data_adapter(venue)
    _check_environment(adapter, environ)
    # The node has this client alone.
    return _data(adapter, config, wanted, {}, RoutingConfig(default=True))


def build_data(
    name: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str],
    wanted: Iterable[str] = (),
    *,
    alone: bool = True,
) -> Built:
    """Return the data client of a trader that wants these instrument ids.

    ``secrets`` are config fields that the config lacks. ``alone``: every instrument is its own;
    else those of its venues, where it has any. Raises as ``build``.
    """
    adapter = data_adapter(name)
    _check_secrets(adapter, adapter.required, secrets)
    alone = alone or not adapter.venues
    routing = RoutingConfig(default=alone, venues=None if alone else frozenset(adapter.venues))
    return _data(adapter, config, wanted, secrets, routing)


def build_exec(
    name: str, venue: str, config: Mapping[str, Any], secrets: Mapping[str, str]
) -> BuiltExec:
    """Return the execution client of a trader at a venue of its instruments.

    ``secrets`` are config fields that the config lacks. Raises what ``check_exec_config`` raises,
    and ``VenueCredentialMissing``.
    """
    adapter = exec_adapter(name)
    if not adapter.venues:
        text = f"{name} has no venue of its own, and traders know accounts by venue"
        raise bad_field("spec.venues", text)
    made = make_exec_config(adapter, config)
    _check_secrets(adapter, adapter.secrets, secrets)
    given = config.get("instrument_provider") or {}
    provider, _ = _provider(adapter, made.instrument_provider, given, ())
    changes = {
        **_fields(made, secrets),
        "instrument_provider": provider,
        "routing": RoutingConfig(venues=frozenset({venue})),
    }
    assert adapter.exec_factory is not None
    return BuiltExec(adapter.name, msgspec.structs.replace(made, **changes), adapter.exec_factory)


def _data(
    adapter: VenueAdapter,
    config: Mapping[str, Any],
    wanted: Iterable[str],
    secrets: Mapping[str, str],
    routing: RoutingConfig,
) -> Built:
    made = make_config(adapter, config)
    given = config.get("instrument_provider") or {}
    provider, loads_all = _provider(adapter, made.instrument_provider, given, wanted)
    changes: dict[str, Any] = {**_fields(made, secrets), "instrument_provider": provider}
    if "routing" not in config:
        changes["routing"] = routing
    if "use_agg_trade_ticks" not in config and hasattr(made, "use_agg_trade_ticks"):
        # Binance keeps only the newest 1,000 single trades, and their ids are not those of the
        # aggregated ones: a hole in recorded trades could not be filled.
        changes["use_agg_trade_ticks"] = True
    assert adapter.data_factory is not None
    return Built(
        adapter.name, msgspec.structs.replace(made, **changes), adapter.data_factory, loads_all
    )


def _fields(config: msgspec.Struct, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Return the secrets that are fields of this config: not every client needs every one."""
    names = {each.name for each in msgspec.structs.fields(config)}
    return {name: value for name, value in secrets.items() if name in names}


def _provider(
    adapter: VenueAdapter, default: Any, given: Mapping[str, Any], wanted: Iterable[str]
) -> tuple[Any, bool]:
    """Return the provider's config: what the user says of loading, else everything, or only what
    is wanted where a venue is too large to be loaded or cannot list all.
    """
    if any(name in given for name in ("load_all", "load_ids", "load_contracts")):
        return default, bool(default.load_all)
    if adapter.loads_all:
        return msgspec.structs.replace(default, load_all=True), True
    ids = frozenset(InstrumentId.from_str(each) for each in wanted)
    return msgspec.structs.replace(default, load_ids=ids), False


def _check_environment(adapter: VenueAdapter, environ: Mapping[str, str]) -> None:
    for name in adapter.required:
        variables = adapter.secrets[name]
        if not any(environ.get(variable) for variable in variables):
            raise VenueCredentialMissing(
                f"{adapter.name} gives no data without {name}. Set {' or '.join(variables)} in "
                "the environment of the market-data service and restart it.",
                metadata={"venue": adapter.name, "environment": ",".join(variables)},
            )


def _check_secrets(
    adapter: VenueAdapter, needed: Iterable[str], secrets: Mapping[str, str]
) -> None:
    missing = [name for name in needed if not secrets.get(name)]
    if missing:
        names = ", ".join(missing)
        raise VenueCredentialMissing(
            f"{adapter.name} needs {names}. Create a credential that holds them, and name it in "
            "the trader's venue.",
            metadata={"venue": adapter.name, "environment": ""},
        )
