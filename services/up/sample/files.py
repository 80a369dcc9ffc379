"""Which files the sample consists of, and the instruments that they are of."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.marketdata.v1 import instrument_pb2 as instruments
from mesh.marketdata.v1 import marketdata_pb2 as md
from services.up.sample import walk

PAIR = instruments.InstrumentDefinition(
    instrument_id="USD/JPY.SIM",
    type=instruments.INSTRUMENT_TYPE_CURRENCY_PAIR,
    base_currency="USD",
    quote_currency="JPY",
    price_increment="0.001",
    size_increment="1",
    lot_size="1000",
)
PERPETUAL = instruments.InstrumentDefinition(
    instrument_id="BTCUSDT-PERP.SIM",
    type=instruments.INSTRUMENT_TYPE_CRYPTO_PERPETUAL,
    base_currency="BTC",
    quote_currency="USDT",
    settlement_currency="USDT",
    price_increment="0.1",
    size_increment="0.001",
)
INSTRUMENTS = (PAIR, PERPETUAL)
BAR_TYPE = "USD/JPY.SIM-1-MINUTE-{}-EXTERNAL"
DAYS = 5
_YEN, _TETHER = walk.price(3), walk.price(1)
_YEN_FIRST, _TETHER_FIRST = 144_500, 440_000


@dataclass(frozen=True)
class SampleFile:
    """A file of the sample: what it holds, and how its rows are made."""

    kind: int
    instrument_id: str
    rows: Callable[[], Iterator[walk.Row]]
    bar_type: str = ""

    @property
    def title(self) -> str:
        """What the file holds, for people."""
        name = md.DataKind.Name(self.kind).removeprefix("DATA_KIND_").lower()  # type: ignore[arg-type] # an open enum
        return self.bar_type or f"{self.instrument_id} {name.replace('_', ' ')}s"

    @property
    def spec(self) -> md.ImportSpec:
        """How the file is imported."""
        spec = md.ImportSpec(
            format=md.IMPORT_FORMAT_CSV,
            bar_type=self.bar_type,
            instrument_id="" if self.bar_type else self.instrument_id,
        )
        spec.kind = self.kind  # type: ignore[assignment] # an open enum
        return spec

    def write(self, path: Path) -> None:
        """Write the rows as CSV."""
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(self.rows())


def _bars(side: str, offset: int) -> SampleFile:
    def rows() -> Iterator[walk.Row]:
        return walk.minute_bars(_YEN_FIRST, DAYS * 1440, _YEN, offset)

    return SampleFile(md.DATA_KIND_BAR, PAIR.instrument_id, rows, BAR_TYPE.format(side))


def _perpetual(
    kind: int, made: Callable[[int, int, walk.Price], Iterator[walk.Row]], count: int
) -> SampleFile:
    return SampleFile(kind, PERPETUAL.instrument_id, lambda: made(_TETHER_FIRST, count, _TETHER))


FILES = (
    _bars("BID", 0),
    _bars("ASK", 4),
    SampleFile(
        md.DATA_KIND_QUOTE_TICK,
        PAIR.instrument_id,
        lambda: walk.quotes(_YEN_FIRST, 10_000, _YEN),
    ),
    _perpetual(md.DATA_KIND_TRADE_TICK, walk.trades, 10_000),
    _perpetual(md.DATA_KIND_ORDER_BOOK_DELTA, walk.deltas, 3_600),
    _perpetual(md.DATA_KIND_ORDER_BOOK_DEPTH10, walk.depths, 1_800),
    _perpetual(md.DATA_KIND_MARK_PRICE, walk.values, 3_600),
    _perpetual(md.DATA_KIND_INDEX_PRICE, walk.values, 3_600),
)
