"""A venue and its config → what a TradingNode needs for its data client."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from nautilus_trader.live.config import LiveDataClientConfig, RoutingConfig
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.identifiers import InstrumentId

from meshkit.nautilus.venue_adapter import VenueAdapter
from services.market_data.engine.venues.checking import make_config
from services.market_data.engine.venues.lookup import data_adapter
from services.market_data.errors import VenueCredentialMissing


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
    made = make_config(adapter, config)
    _check_credentials(adapter, environ)
    given = config.get("instrument_provider") or {}
    provider, loads_all = _provider(adapter, made.instrument_provider, given, wanted)
    changes: dict[str, Any] = {"instrument_provider": provider}
    if "routing" not in config:
        changes["routing"] = RoutingConfig(default=True)  # the node has this client alone
    if "use_agg_trade_ticks" not in config and hasattr(made, "use_agg_trade_ticks"):
        # Binance keeps only the newest 1,000 single trades, and their ids are not those of the
        # aggregated ones: a hole in recorded trades could not be filled.
        changes["use_agg_trade_ticks"] = True
    assert adapter.data_factory is not None
    return Built(
        adapter.name, msgspec.structs.replace(made, **changes), adapter.data_factory, loads_all
    )


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


def _check_credentials(adapter: VenueAdapter, environ: Mapping[str, str]) -> None:
    for name in adapter.required:
        variables = adapter.secrets[name]
        if not any(environ.get(variable) for variable in variables):
            raise VenueCredentialMissing(
                f"{adapter.name} gives no data without {name}. Set {' or '.join(variables)} in "
                "the environment of the market-data service and restart it.",
                metadata={"venue": adapter.name, "environment": ",".join(variables)},
            )
