"""Instruments of every class: case MD-12; and crashes: MD-13."""

import inspect
import json
import uuid
from typing import Any

import asyncpg
import pytest
from google.protobuf import json_format
from nautilus_trader.model import instruments as classes
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from integration.failures import failure
from integration.market_data.conftest import Served
from integration.market_data.test_history import BARS, SELECTED, bar_lines, tree
from mesh.marketdata.v1 import instrument_service_pb2 as rpc
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition, InstrumentType
from meshkit.database import Database
from meshkit.nautilus.instruments import class_names, to_nautilus
from services.market_data import sample
from services.market_data.engine.instruments import check
from services.market_data.file_store import FileStore
from services.market_data.writing import Writer

COMMON = {"quoteCurrency": "USD", "priceIncrement": "0.01", "sizeIncrement": "1"}
DATED = {"activationTime": "2024-01-01T00:00:00Z", "expirationTime": "2024-06-21T00:00:00Z"}
CRYPTO = {
    "quoteCurrency": "USDT",
    "settlementCurrency": "USDT",
    "priceIncrement": "0.1",
    "sizeIncrement": "0.001",
}
ON_BTC = {**CRYPTO, "underlying": "BTC"}
OPTION = {"optionKind": "OPTION_KIND_CALL", "strikePrice": "150.00"}
MARKET = {
    "venueName": "BETFAIR",
    "eventOpenTime": "2024-01-01T00:00:00Z",
    "marketStartTime": "2024-01-01T01:00:00Z",
    "marketId": "1.179082386",
    "bettingType": "ODDS",
    "selectionId": 50214,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "BETTING_INSTRUMENT": {"quoteCurrency": "GBP", "betting": MARKET},
    "BINARY_OPTION": {
        **COMMON,
        **DATED,
        "assetClass": "ASSET_CLASS_ALTERNATIVE",
        "outcome": "Yes",
    },
    "CFD": {**COMMON, "assetClass": "ASSET_CLASS_INDEX"},
    "COMMODITY": {**COMMON, "assetClass": "ASSET_CLASS_COMMODITY"},
    "CRYPTO_FUTURE": {**ON_BTC, **DATED},
    "CRYPTO_FUTURES_SPREAD": {**ON_BTC, **DATED, "strategyType": "CALENDAR"},
    "CRYPTO_OPTION": {**ON_BTC, **DATED, **OPTION},
    "CRYPTO_OPTION_SPREAD": {**ON_BTC, **DATED, "strategyType": "VERTICAL"},
    "CRYPTO_PERPETUAL": {**CRYPTO, "baseCurrency": "BTC"},
    "CURRENCY_PAIR": {**COMMON, "baseCurrency": "EUR"},
    "EQUITY": {**COMMON, "isin": "US0378331005"},
    "FUTURES_CONTRACT": {
        **COMMON,
        **DATED,
        "assetClass": "ASSET_CLASS_INDEX",
        "underlying": "ES",
        "multiplier": "50",
    },
    "FUTURES_SPREAD": {
        **COMMON,
        **DATED,
        "assetClass": "ASSET_CLASS_INDEX",
        "underlying": "ES",
        "strategyType": "CALENDAR",
    },
    "INDEX_INSTRUMENT": COMMON,
    "OPTION_CONTRACT": {
        **COMMON,
        **DATED,
        **OPTION,
        "assetClass": "ASSET_CLASS_EQUITY",
        "underlying": "AAPL",
    },
    "OPTION_SPREAD": {
        **COMMON,
        **DATED,
        "assetClass": "ASSET_CLASS_EQUITY",
        "underlying": "AAPL",
        "strategyType": "VERTICAL",
    },
    "PERPETUAL_CONTRACT": {
        **COMMON,
        "assetClass": "ASSET_CLASS_INDEX",
        "underlying": "SPX",
        "settlementCurrency": "USD",
    },
    "SYNTHETIC_INSTRUMENT": {
        "pricePrecision": 2,
        "components": ["BTCUSDT.SIM", "ETHUSDT.SIM"],
        "formula": "(BTCUSDT.SIM + ETHUSDT.SIM) / 2.0",
    },
    "TOKENIZED_ASSET": {**COMMON, "baseCurrency": "BTC", "assetClass": "ASSET_CLASS_EQUITY"},
}


def definition(name: str) -> InstrumentDefinition:
    """Return an example of a type."""
    given = {"type": f"INSTRUMENT_TYPE_{name}", **EXAMPLES[name]}
    if name != "BETTING_INSTRUMENT":
        venue = "SYNTH" if name == "SYNTHETIC_INSTRUMENT" else "SIM"
        given["instrumentId"] = f"{name.replace('_', '')}.{venue}"
    return json_format.Parse(json.dumps(given), InstrumentDefinition())


def test_md12_the_contract_has_every_class() -> None:
    """MD-12a: a class that a new Nautilus brings breaks this test until the contract has it."""
    named = (name for name in classes.__all__ if name != "Instrument")
    installed = {name for name in named if inspect.isclass(getattr(classes, name))}
    assert set(class_names().values()) == installed
    numbered = {n.removeprefix("INSTRUMENT_TYPE_") for n in InstrumentType.keys()[1:]}
    assert numbered == set(class_names()) == set(EXAMPLES)


async def test_md12_every_class_is_created_and_read(served: Served) -> None:
    """MD-12b: each class is made from its definition, and Nautilus reads it from the catalog."""
    for name in EXAMPLES:
        request = rpc.CreateInstrumentRequest(
            request_id=str(uuid.uuid4()), definition=definition(name)
        )
        made = (await served.instruments.CreateInstrument(request)).instrument
        instrument = to_nautilus(made.definition)
        assert type(instrument).__name__ == class_names()[name]
        assert str(instrument.id) == made.definition.instrument_id
    listed = await served.instruments.ListInstruments(rpc.ListInstrumentsRequest())
    assert len(listed.instruments) == len(EXAMPLES)
    stored = ParquetDataCatalog(str(served.catalog / "default")).instruments()
    assert len(stored) == len(EXAMPLES) - 1  # a synthetic instrument has no place in a catalog


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quoteCurrency": "NOPE"}, "definition.quote_currency"),
        ({"priceIncrement": "0.01", "pricePrecision": 3}, "definition.price_increment"),
        ({"priceIncrement": ""}, "definition.price_precision"),
        ({"instrumentId": "nodot"}, "definition"),
        ({"strikePrice": "1.5"}, "definition.strike_price"),
    ],
)
async def test_md12_bad_definitions_are_refused(
    served: Served, change: dict[str, Any], field: str
) -> None:
    """MD-12c: what Nautilus would not take is refused by its field, without a class name."""
    given = json_format.MessageToDict(definition("CURRENCY_PAIR")) | change
    bad = json_format.ParseDict(given, InstrumentDefinition())
    request = rpc.CreateInstrumentRequest(request_id=str(uuid.uuid4()), definition=bad)
    got = await failure(served.instruments.CreateInstrument(request))
    assert (got.code, set(got.fields)) == ("INVALID_ARGUMENT", {field})
    assert "Traceback" not in got.message


async def test_md12_instruments_are_listed_by_venue_and_type(served: Served) -> None:
    """MD-12e: a filtered page is full as long as there is more, and pages hold each once."""
    await served.create(*(definition(name) for name in EXAMPLES), *sample.instruments())
    request = rpc.ListInstrumentsRequest(
        venue="SIM", type=InstrumentType.INSTRUMENT_TYPE_CURRENCY_PAIR, page_size=2
    )
    first = await served.instruments.ListInstruments(request)
    request.page_token = first.next_page_token
    second = await served.instruments.ListInstruments(request)
    ids = [i.definition.instrument_id for i in (*first.instruments, *second.instruments)]
    assert ids == ["CURRENCYPAIR.SIM", "EUR/USD.SIM", "USD/JPY.SIM"]
    assert not second.next_page_token


async def test_md12_a_definition_read_is_one_that_can_be_given(served: Served) -> None:
    """MD-12d: what the service returns is taken again as it is, and means the same; and two ids
    that would share a folder of the catalog are refused.
    """
    for name in EXAMPLES:
        first = check(definition(name)).definition
        assert check(first).definition == first
    await served.create(*sample.instruments())
    twin = InstrumentDefinition()
    twin.CopyFrom(sample.instruments()[0])
    twin.instrument_id = twin.instrument_id.replace("/", "")
    got = await failure(served.create(twin))
    assert (got.code, got.reason) == ("ALREADY_EXISTS", "INSTRUMENT_EXISTS")


async def test_md13_a_crash_is_mended_at_the_start(served: Served) -> None:
    """MD-13: a file that was decided on and not yet moved is moved at the next start."""
    await served.create(*sample.instruments())
    await served.load(bar_lines(1, 2), BARS)
    before = tree(served.catalog)
    folder = served.catalog / "default"
    path = next(iter((folder / "data" / "bar").rglob("*.parquet")))
    staging = folder / ".staging"
    path.rename(staging / "crashed.parquet")
    (staging / "uncommitted.parquet").write_bytes(b"half a file")
    connection = await asyncpg.connect(served.database_url)
    await connection.execute(
        "INSERT INTO market_data.catalog_moves (owner, project, adds, removes)"
        " VALUES ('t', 'default', $1, '[]')",
        json.dumps([[".staging/crashed.parquet", str(path.relative_to(folder))]]),
    )
    await connection.close()
    async with Database.open(served.database_url, schema="market_data") as database:
        await Writer(database, FileStore(), served.catalog).recover()
        async with database.connection() as tx:
            assert not await FileStore().moves(tx)
    assert tree(served.catalog) == before
    assert (await served.read(SELECTED)).num_rows == 2
