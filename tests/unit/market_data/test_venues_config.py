"""Configs of adapters: what is right is taken, what is wrong is named."""

import os
from typing import Any

import pytest
from nautilus_trader.live.config import LiveDataClientConfig
from nautilus_trader.live.node import TradingNode, TradingNodeConfig

from meshkit.errors import InvalidArgument, MeshError
from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues import builtin
from meshkit.nautilus.venues.building import Built, build
from meshkit.nautilus.venues.checking import check_config
from meshkit.nautilus.venues.errors import (
    SecretInConfig,
    VenueCredentialMissing,
    VenueExtraMissing,
    VenueNotFound,
    VenueWithoutData,
)
from meshkit.nautilus.venues.lookup import extra_problem

PROVIDER = "instrument_provider"
WITHOUT_KEYS = ["BINANCE", "BITMEX", "BYBIT", "DERIBIT", "DYDX", "HYPERLIQUID", "KRAKEN", "OKX"]


def _refused(venue: str, config: dict[str, Any]) -> MeshError:
    with pytest.raises(MeshError) as caught:
        check_config(venue, config)
    assert "Traceback" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("venue", "config"),
    [
        ("BINANCE", {}),
        (
            "BINANCE",
            {
                "account_type": "USDT_FUTURES",
                "base_url_http": "http://127.0.0.1:1",
                "base_url_ws": "ws://127.0.0.1:2",
                "instrument_provider": {"load_ids": ["BTCUSDT-PERP.BINANCE"]},
            },
        ),
        ("OKX", {"instrument_types": ["SPOT", "SWAP"], "region": "EEA"}),
        ("KRAKEN", {"environment": "demo", "product_types": ["FUTURES"]}),
        ("DATABENTO", {"parent_symbols": {"GLBX.MDP3": ["ES.FUT"]}}),
        ("AX", {"environment": "PRODUCTION", "max_retries": None}),
    ],
)
def test_a_good_config_comes_back_as_it_is(venue: str, config: dict[str, Any]) -> None:
    """MD-50: a config that the adapter takes is returned unchanged."""
    assert check_config(venue, config) == config


@pytest.mark.parametrize(
    ("venue", "config", "field", "text"),
    [
        ("BINANCE", {"account_typ": "SPOT"}, "account_typ", "did you mean account_type?"),
        ("BINANCE", {"account_type": "SPOTT"}, "account_type", "SPOT, USDT_FUTURES"),
        ("BINANCE", {"us": "yes"}, "us", "expected `bool`"),
        ("BINANCE", {PROVIDER: {"load_idz": 1}}, f"{PROVIDER}.load_idz", "load_ids?"),
        ("BINANCE", {PROVIDER: {"load_ids": ["x"]}}, f"{PROVIDER}.load_ids[0]", "BTCUSDT.BINANCE"),
        ("BINANCE", {PROVIDER: {"load_ids": ["é.B"]}}, f"{PROVIDER}.load_ids[0]", "ASCII"),
        ("BINANCE", {PROVIDER: {"filter_callable": "os:x"}}, f"{PROVIDER}.filter_callable", "code"),
        ("BINANCE", {"venue": "é"}, "venue", "ASCII"),
        ("BINANCE", {"venue": " "}, "venue", "ASCII"),
        ("BINANCE", {"base_url_http": "ftp://x"}, "base_url_http", "http://"),
        ("BINANCE", {"base_url_http": "http://x:y"}, "base_url_http", "http://"),
        ("BINANCE", {"base_url_ws": "http://x"}, "base_url_ws", "ws:// or wss://"),
        ("BINANCE", {"proxy_url": "http://u:p@x"}, "proxy_url", "no password"),
        ("OKX", {"max_retries": 0}, "max_retries", ">= 1"),
        ("OKX", {"max_retries": "3"}, "max_retries", "expected `int | null`"),
        ("OKX", {"instrument_types": ["A"]}, "instrument_types[0]", "one of ANY"),
        ("DATABENTO", {"parent_symbols": {"A": 5}}, "parent_symbols[...]", "expected `array`"),
    ],
)
def test_a_bad_field_is_named(venue: str, config: dict[str, Any], field: str, text: str) -> None:
    """MD-51: a config that is wrong gives the path of the fault and what to write."""
    error = _refused(venue, config)
    assert error.reason == "INVALID_FIELD"
    (violation,) = error.violations
    assert violation.field == f"config_json.{field}"
    assert text in violation.description


@pytest.mark.parametrize(
    ("venue", "config", "variables"),
    [
        ("BINANCE", {"api_key": "k"}, "BINANCE_API_KEY,BINANCE_TESTNET_API_KEY"),
        ("OKX", {"api_passphrase": None}, "OKX_API_PASSPHRASE"),
        ("DATABENTO", {"api_key": "k"}, "DATABENTO_API_KEY"),
        ("BYBIT", {"instrument_provider": {"filters": {"password": "p"}}}, ""),
    ],
)
def test_a_secret_is_refused(venue: str, config: dict[str, Any], variables: str) -> None:
    """MD-52: a secret is never taken; the error names the variable to set and not the secret."""
    error = _refused(venue, config)
    assert isinstance(error, SecretInConfig)
    assert error.metadata["environment"].startswith(variables)
    assert error.metadata["field"] == error.violations[0].field


def test_an_unknown_venue_lists_the_known() -> None:
    """MD-53: a name that no adapter has gives those there are, and the nearest."""
    error = _refused("binanse", {})
    assert isinstance(error, VenueNotFound)
    assert "Did you mean BINANCE?" in error.message
    assert {"OKX", "REPLAY"} <= set(error.metadata["known"].split(","))


@pytest.mark.parametrize("venue", ["SANDBOX", "INTERACTIVE_BROKERS_PYO3"])
def test_a_venue_without_data_is_no_feed(venue: str) -> None:
    """MD-54: an adapter of execution alone is refused."""
    assert isinstance(_refused(venue, {}), VenueWithoutData)


def test_a_missing_extra_is_named() -> None:
    """MD-55: an adapter whose packages are not installed says how to install them."""
    adapter = VenueAdapter("X", extra="ib", packages=("no-such-package", "pytest"))
    lacks, problem = extra_problem(adapter)
    assert lacks == ("no-such-package",)
    assert 'pip install "nautilus_trader[ib]"' in problem


@pytest.mark.parametrize(
    ("venue", "extra"), [("INTERACTIVE_BROKERS", "ib"), ("BETFAIR", "betfair")]
)
def test_an_adapter_is_usable_or_names_its_extra(venue: str, extra: str) -> None:
    """MD-55: whether an extra is installed decides whether its adapter can be a feed."""
    lacking = [name for name in builtin.packages(extra) if not builtin.installed(name)]
    error = _refused(venue, {"no_such_field": 1})
    wanted = {"venue": venue, "extra": extra, "packages": ",".join(lacking)}
    assert error.metadata == (wanted if lacking else {})
    assert isinstance(error, VenueExtraMissing if lacking else InvalidArgument)


def _loaded(made: Built) -> list[str]:
    return [str(each) for each in made.config.instrument_provider.load_ids or ()]


@pytest.mark.parametrize("venue", WITHOUT_KEYS)
def test_public_data_needs_no_key(venue: str) -> None:
    """A feed of a venue with public data is built without any secret, and loads what there is."""
    made = build(venue, {}, environ={})
    assert isinstance(made.config, LiveDataClientConfig)
    assert made.name == venue
    assert made.loads_all
    assert made.config.instrument_provider.load_all
    assert made.config.routing.default


def test_a_large_venue_loads_only_what_is_wanted() -> None:
    """Where a venue is too large to be loaded, only the ids wanted are."""
    environ = {"DATABENTO_API_KEY": "k"}
    made = build("DATABENTO", {}, ["ESZ5.GLBX"], environ=environ)
    assert not made.loads_all
    assert _loaded(made) == ["ESZ5.GLBX"]


def test_what_the_user_says_of_loading_stays() -> None:
    """A provider that is told what to load is left alone."""
    config = {"instrument_provider": {"load_ids": ["BTCUSDT.BINANCE"]}, "routing": {}}
    made = build("BINANCE", config, ["ETHUSDT.BINANCE"], environ={})
    assert not made.loads_all
    assert _loaded(made) == ["BTCUSDT.BINANCE"]
    assert not made.config.routing.default


def test_a_missing_credential_is_named() -> None:
    """MD-56: a venue that gives nothing without a key says which variable to set."""
    with pytest.raises(VenueCredentialMissing) as caught:
        build("TARDIS", {}, environ={})
    assert caught.value.metadata == {"venue": "TARDIS", "environment": "TARDIS_API_KEY"}


async def test_a_node_takes_what_is_built() -> None:
    """A TradingNode builds the data client of a venue from what build returns."""
    made = build("BINANCE", {"base_url_http": "http://127.0.0.1:1"}, environ=os.environ)
    node = TradingNode(TradingNodeConfig(data_clients={made.name: made.config}))
    node.add_data_client_factory(made.name, made.factory)
    node.build()
    assert [str(each) for each in node.kernel.data_engine.registered_clients] == ["BINANCE"]
    node.kernel.dispose()
