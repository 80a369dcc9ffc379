"""A catalog, tasks and looked-up parts for runs, made from a seed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId, Venue
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.test_kit.providers import TestInstrumentProvider

from services.backtest.task import ComponentTask, DataTask
from services.strategy import examples

MINUTE = 60_000_000_000
START = 1_356_998_400_000_000_000
EXAMPLES = Path(examples.__file__).parent
BAR = "{}-1-MINUTE-{}-EXTERNAL"


def currency_pair(symbol: str = "USD/JPY", venue: str = "SIM") -> Any:
    """Return a currency pair of Nautilus' own test kit."""
    return TestInstrumentProvider.default_fx_ccy(symbol, Venue(venue))


def bars(instrument: Any, side: str, count: int, seed: int = 1) -> list[Bar]:
    """Return minute bars on a random walk; bid and ask of one seed fit each other."""
    random = np.random.default_rng(seed)
    middle = 100 + np.cumsum(random.normal(0, 0.01, count))
    move = random.normal(0, 0.005, count)
    offset = 0.01 if side == "ASK" else 0.0
    bar_type = BarType.from_str(BAR.format(instrument.id, side))
    made = []
    for i in range(count):
        low, high = sorted((middle[i], middle[i] + move[i]))
        ts = START + (i + 1) * MINUTE
        prices = (middle[i], high + 0.02, low - 0.02, middle[i] + move[i])
        made.append(
            Bar(
                bar_type,
                *(Price(p + offset, instrument.price_precision) for p in prices),
                Quantity(1000, 0),
                ts,
                ts,
            )
        )
    return made


def trades(instrument: Any, count: int, seed: int = 2) -> list[TradeTick]:
    """Return trade ticks on a random walk, seven seconds apart."""
    random = np.random.default_rng(seed)
    middle = 100 + np.cumsum(random.normal(0, 0.005, count))
    return [
        TradeTick(
            instrument.id,
            Price(middle[i], instrument.price_precision),
            Quantity(1000, 0),
            AggressorSide.BUYER if i % 2 else AggressorSide.SELLER,
            TradeId(str(i)),
            START + (i + 1) * 7_000_000_000,
            START + (i + 1) * 7_000_000_000,
        )
        for i in range(count)
    ]


def write(folder: Path, instruments: Sequence[Any], *data: list[Any]) -> ParquetDataCatalog:
    """Write a catalog of instruments and data."""
    catalog = ParquetDataCatalog(str(folder))
    catalog.write_data(list(instruments))
    for rows in data:
        catalog.write_data(rows)
    return catalog


def selection(catalog: ParquetDataCatalog, rows: list[Any]) -> DataTask:
    """Return the selection of rows that were written to a catalog."""
    first = rows[0]
    is_bar = isinstance(first, Bar)
    instrument_id: InstrumentId = first.bar_type.instrument_id if is_bar else first.instrument_id
    identifier = str(first.bar_type) if is_bar else str(instrument_id)
    found = catalog.filter_files(
        data_cls=type(first),
        file_paths=catalog.get_file_list_from_data_cls(type(first)),
        identifiers=[identifier],
    )
    return DataTask(
        kind="BAR" if is_bar else "TRADE_TICK",
        instrument_id=str(instrument_id),
        bar_type=identifier if is_bar else "",
        files=tuple((str(Path(f).relative_to(catalog.path)), _sha256(Path(f))) for f in found),
        start=rows[0].ts_init,
        end=rows[-1].ts_init,
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def component(name: str, kind: str = "STRATEGY", **config: Any) -> ComponentTask:
    """Return an example that ships, with a config."""
    text = (EXAMPLES / f"{name}.py").read_text()
    return inline(name, text, kind, **config)


def inline(name: str, text: str, kind: str = "STRATEGY", **config: Any) -> ComponentTask:
    """Return a component of the given source."""
    version = hashlib.sha256(text.encode()).hexdigest()
    return ComponentTask(name, kind, version, ((f"{name}.py", text),), "", "", config)


def venue(name: str = "SIM", **more: Any) -> dict[str, Any]:
    """Return a margin venue with a million dollars."""
    return {
        "name": name,
        "oms_type": "OMS_TYPE_HEDGING",
        "account_type": "ACCOUNT_TYPE_MARGIN",
        "base_currency": "USD",
        "starting_balances": [{"amount": "1000000", "currency": "USD"}],
        **more,
    }
