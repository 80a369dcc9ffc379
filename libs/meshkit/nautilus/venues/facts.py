"""What the source of each adapter of Nautilus 1.231 says and its classes do not.

The environment variables are those that the adapter reads, in Python or in Rust; a test compares
them with the installed package.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Secrets = Mapping[str, tuple[str, ...]]

INSTRUMENTS_OF_MANY = "Its instruments carry the venues of their exchanges."
KEYS_FOR_ORDERS = "Market data is public: the keys are for orders."


@dataclass(frozen=True)
class Facts:
    """Facts of one adapter; the fields are those of ``VenueAdapter``."""

    name: str
    extra: str = ""
    secrets: Secrets = field(default_factory=dict)
    required: tuple[str, ...] = ()
    venues: tuple[str, ...] | None = None  # None: one venue, of the adapter's name
    notes: tuple[str, ...] = ()
    loads_all: bool = True
    refused: tuple[str, ...] = ()
    field_types: Mapping[str, object] = field(default_factory=dict)
    problem: str = ""
    tells_absence: bool = False
    """Whether its execution client asks for a single order, and raises where it cannot ask."""
    reduces_only: bool = False
    """Whether it passes on that an order is to reduce only, for what is no currency pair."""


def _keys(*prefixes: str) -> dict[str, tuple[str, ...]]:
    """Return a key and a secret, each from one variable a prefix."""
    return {
        name: tuple(f"{prefix}_{name.upper()}" for prefix in prefixes)
        for name in ("api_key", "api_secret")
    }


FACTS: Mapping[str, Facts] = {
    "architect_ax": Facts("AX", secrets=_keys("AX")),
    "betfair": Facts(
        "BETFAIR",
        extra="betfair",
        secrets={
            "username": ("BETFAIR_USERNAME",),
            "password": ("BETFAIR_PASSWORD",),
            "app_key": ("BETFAIR_APP_KEY",),
        },
        required=("username", "password", "app_key"),
        refused=("certs_dir",),
        notes=(
            "The folder of its certificates is read from BETFAIR_CERTS_DIR.",
            "Its address cannot be changed; only proxy_url can.",
        ),
    ),
    "binance": Facts(
        "BINANCE",
        secrets=_keys("BINANCE", "BINANCE_TESTNET", "BINANCE_FUTURES_TESTNET", "BINANCE_DEMO"),
        tells_absence=True,
        reduces_only=True,
        notes=(KEYS_FOR_ORDERS, "One account_type a feed: SPOT, USDT_FUTURES or COIN_FUTURES."),
    ),
    "bitmex": Facts("BITMEX", secrets=_keys("BITMEX", "BITMEX_TESTNET"), reduces_only=True),
    "bybit": Facts(
        "BYBIT",
        secrets=_keys("BYBIT", "BYBIT_TESTNET", "BYBIT_DEMO"),
        reduces_only=True,
        notes=("The adapter uses base_url_http for its WebSocket too.",),
    ),
    "databento": Facts(
        "DATABENTO",
        secrets={"api_key": ("DATABENTO_API_KEY",)},
        required=("api_key",),
        venues=(),
        loads_all=False,
        notes=(INSTRUMENTS_OF_MANY,),
    ),
    "deribit": Facts("DERIBIT", secrets=_keys("DERIBIT", "DERIBIT_TESTNET"), reduces_only=True),
    "dydx": Facts(
        "DYDX",
        secrets={"private_key": ("DYDX_PRIVATE_KEY", "DYDX_TESTNET_PRIVATE_KEY")},
        notes=(KEYS_FOR_ORDERS,),
    ),
    "hyperliquid": Facts(
        "HYPERLIQUID",
        secrets={"private_key": ("HYPERLIQUID_PK", "HYPERLIQUID_TESTNET_PK")},
        notes=(KEYS_FOR_ORDERS, "The address of its HTTP API cannot be changed."),
    ),
    "interactive_brokers": Facts(
        "INTERACTIVE_BROKERS",
        extra="ib",
        venues=(),
        loads_all=False,
        refused=("dockerized_gateway",),
        field_types={"market_data_type": Literal[1, 2, 3, 4]},  # ibapi's enum is no type
        notes=(
            INSTRUMENTS_OF_MANY,
            "It needs a running TWS or IB Gateway, which holds the login.",
            "market_data_type: 1 real time, 2 frozen, 3 delayed, 4 delayed and frozen.",
        ),
    ),
    "interactive_brokers_pyo3": Facts(
        "INTERACTIVE_BROKERS_PYO3",
        extra="ib",
        venues=(),
        problem="It has no clients for a TradingNode, only for Nautilus' LiveNode. "
        "Use INTERACTIVE_BROKERS.",
    ),
    "kraken": Facts(
        "KRAKEN",
        secrets=_keys("KRAKEN_SPOT", "KRAKEN_FUTURES", "KRAKEN_FUTURES_DEMO"),
        notes=("Keys of spot and futures differ; without product_types it is spot.",),
    ),
    "okx": Facts(
        "OKX",
        secrets={**_keys("OKX"), "api_passphrase": ("OKX_API_PASSPHRASE",)},
        reduces_only=True,
        notes=("The address for bars is derived from base_url_ws.",),
    ),
    "polymarket": Facts(
        "POLYMARKET",
        extra="polymarket",
        secrets={
            "private_key": ("POLYMARKET_PK",),
            "api_key": ("POLYMARKET_API_KEY",),
            "api_secret": ("POLYMARKET_API_SECRET",),
            "passphrase": ("POLYMARKET_PASSPHRASE",),
        },
        required=("private_key", "api_key", "api_secret", "passphrase"),
        loads_all=False,
        notes=("Without funder in the config it is read from POLYMARKET_FUNDER.",),
    ),
    "sandbox": Facts(
        "SANDBOX",
        venues=(),
        notes=("It simulates the execution of another venue, on that venue's data.",),
    ),
    "tardis": Facts(
        "TARDIS",
        secrets={"api_key": ("TARDIS_API_KEY",)},
        required=("api_key",),
        venues=(),
        loads_all=False,
        notes=(
            INSTRUMENTS_OF_MANY,
            "It needs a Tardis Machine at base_url_ws, or at TARDIS_MACHINE_WS_URL.",
        ),
    ),
}
"""By folder of ``nautilus_trader.adapters``."""

NOT_VENUES = frozenset({"_template"})

REFUSED: Mapping[str, str] = {
    "filter_callable": "would run code in the service: filter with other fields",
    "event_slug_builder": "would run code in the service: name the slugs instead",
    "pickle_path": "would read a pickle, which can run code",
    "dockerized_gateway": "is not offered: give ibg_host and ibg_port of a running gateway",
    "certs_dir": "is a folder of the service: set BETFAIR_CERTS_DIR there",
}
"""Config fields of any adapter that a user of a service may not set, and why."""
