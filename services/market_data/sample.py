"""A synthetic sample of every kind of data: made from a seed, small, and the same bytes each time.

Nothing in it ever traded. The venue is ``SIM``; the files say ``synthetic`` in their names.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mesh.common.v1 import enums_pb2
from mesh.marketdata.v1 import marketdata_pb2 as pb
from mesh.marketdata.v1.instrument_pb2 import (
    INSTRUMENT_TYPE_CRYPTO_PERPETUAL,
    INSTRUMENT_TYPE_CURRENCY_PAIR,
    InstrumentDefinition,
)

SEED = 20_240_101
START = 1_704_067_200_000_000_000
"""2024-01-01T00:00:00Z, in unix nanoseconds."""

MINUTE = 60 * 10**9
BARS = 14_400
TICKS = 50_000
BOOKS = 2_000

USDJPY, EURUSD, BTCUSDT = "USD/JPY.SIM", "EUR/USD.SIM", "BTCUSDT-PERP.SIM"


@dataclass(frozen=True)
class SampleFile:
    """One file of the sample and how it is imported."""

    path: Path
    spec: pb.ImportSpec


def instruments() -> list[InstrumentDefinition]:
    """Return the definitions of the sample's instruments."""
    fx = enums_pb2.ASSET_CLASS_FX
    return [
        _pair(USDJPY, "USD", "JPY", "0.001", fx),
        _pair(EURUSD, "EUR", "USD", "0.00001", fx),
        InstrumentDefinition(
            instrument_id=BTCUSDT,
            type=INSTRUMENT_TYPE_CRYPTO_PERPETUAL,
            asset_class=enums_pb2.ASSET_CLASS_CRYPTOCURRENCY,
            base_currency="BTC",
            quote_currency="USDT",
            settlement_currency="USDT",
            price_increment="0.1",
            size_increment="0.001",
            margin_init="0.05",
            margin_maint="0.025",
            maker_fee="0.0002",
            taker_fee="0.0005",
        ),
    ]


def _pair(
    instrument_id: str,
    base: str,
    quote: str,
    step: str,
    asset_class: enums_pb2.AssetClass.ValueType,
) -> InstrumentDefinition:
    return InstrumentDefinition(
        instrument_id=instrument_id,
        type=INSTRUMENT_TYPE_CURRENCY_PAIR,
        asset_class=asset_class,
        base_currency=base,
        quote_currency=quote,
        price_increment=step,
        size_increment="1",
        lot_size="1000",
        margin_init="0.03",
        margin_maint="0.03",
        maker_fee="0.00002",
        taker_fee="0.00002",
    )


def write(folder: Path) -> list[SampleFile]:
    """Write every file of the sample to a folder and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _file(folder, "usdjpy-1m-bid", _bars("BID"), kind=pb.DATA_KIND_BAR, bar_type=_bar("BID")),
        _file(folder, "usdjpy-1m-ask", _bars("ASK"), kind=pb.DATA_KIND_BAR, bar_type=_bar("ASK")),
        _file(folder, "eurusd-quotes", _quotes(), pb.DATA_KIND_QUOTE_TICK, EURUSD),
        _file(folder, "btcusdt-trades", _trades(), pb.DATA_KIND_TRADE_TICK, BTCUSDT),
        _file(folder, "btcusdt-deltas", _deltas(), pb.DATA_KIND_ORDER_BOOK_DELTA, BTCUSDT),
        _file(folder, "btcusdt-depth10", _depth(), pb.DATA_KIND_ORDER_BOOK_DEPTH10, BTCUSDT),
        _file(folder, "btcusdt-mark", _marks(1), pb.DATA_KIND_MARK_PRICE, BTCUSDT),
        _file(folder, "btcusdt-index", _marks(2), pb.DATA_KIND_INDEX_PRICE, BTCUSDT),
        _file(
            folder,
            "btcusdt-klines",
            _klines(),
            pb.DATA_KIND_BAR,
            bar_type=f"{BTCUSDT}-1-MINUTE-LAST-EXTERNAL",
            file_format=pb.IMPORT_FORMAT_BINANCE_KLINES,
        ),
    ]


def _bar(side: str) -> str:
    return f"{USDJPY}-1-MINUTE-{side}-EXTERNAL"


def _file(
    folder: Path,
    name: str,
    text: str,
    kind: pb.DataKind.ValueType,
    instrument_id: str = "",
    bar_type: str = "",
    file_format: pb.ImportFormat.ValueType = pb.IMPORT_FORMAT_CSV,
) -> SampleFile:
    path = folder / f"synthetic-{name}.csv"
    path.write_text(text, encoding="utf-8", newline="")
    spec = pb.ImportSpec(
        kind=kind, format=file_format, instrument_id=instrument_id, bar_type=bar_type
    )
    return SampleFile(path, spec)


def _random(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([SEED, number]))


def _text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _walk(number: int, count: int, start: int, step: float, back: float) -> np.ndarray:
    """Return a walk in whole price steps that wanders back to its start: trends, and no escape."""
    noise = _random(number).normal(0.0, step, count)
    drift = np.sin(np.arange(count) / 700.0) * step * 0.15
    level = np.empty(count)
    at = 0.0
    for i in range(count):
        at += noise[i] + drift[i] - back * at
        level[i] = at
    return np.rint(level).astype(np.int64) + start


def _decimal(steps: int, places: int) -> str:
    whole, rest = divmod(int(steps), 10**places)
    return f"{whole}.{rest:0{places}d}"


def _bars(side: str) -> str:
    """Return minute bars of USD/JPY; bid and ask are the same walk, a spread apart."""
    close = _walk(1, BARS + 1, 142_000, 12.0, 0.0005)
    wick = np.abs(_random(2).normal(0.0, 8.0, (2, BARS))).astype(np.int64)
    volume = _random(3).integers(50, 500, BARS) * 1_000
    spread = 14 if side == "ASK" else 0

    def row(i: int) -> tuple[object, ...]:
        opened, closed = int(close[i]) + spread, int(close[i + 1]) + spread
        high, low = max(opened, closed) + int(wick[0, i]), min(opened, closed) - int(wick[1, i])
        prices = (_decimal(steps, 3) for steps in (opened, high, low, closed))
        return (START + (i + 1) * MINUTE, *prices, int(volume[i]))

    header = ("timestamp", "open", "high", "low", "close", "volume")
    return _text(header, (row(i) for i in range(BARS)))


def _quotes() -> str:
    bid = _walk(4, TICKS, 110_000, 1.5, 0.0002)
    gaps = _random(5).integers(50, 2_000, TICKS).cumsum()
    sizes = _random(6).integers(1, 10, (2, TICKS)) * 100_000
    spread = _random(7).integers(1, 4, TICKS)
    rows = (
        (
            START + int(gaps[i]) * 1_000_000,
            _decimal(bid[i], 5),
            _decimal(bid[i] + spread[i], 5),
            int(sizes[0, i]),
            int(sizes[1, i]),
        )
        for i in range(TICKS)
    )
    return _text(("timestamp", "bid_price", "ask_price", "bid_size", "ask_size"), rows)


def _trades() -> str:
    price = _walk(8, TICKS, 420_000, 6.0, 0.0002)
    gaps = _random(9).integers(20, 1_500, TICKS).cumsum()
    size = _random(10).integers(1, 2_000, TICKS)
    side = _random(11).integers(0, 2, TICKS)
    rows = (
        (
            START + int(gaps[i]) * 1_000_000,
            _decimal(price[i], 1),
            _decimal(size[i], 3),
            ("BUYER", "SELLER")[side[i]],
            f"S{i + 1}",
        )
        for i in range(TICKS)
    )
    return _text(("timestamp", "price", "size", "aggressor_side", "trade_id"), rows)


def _klines() -> str:
    """Return klines as Binance publishes them, without a header and stamped at their opening."""
    close = _walk(12, 1_441, 420_000, 90.0, 0.002)
    volume = _random(13).integers(1_000, 90_000, 1_440)

    def row(i: int) -> tuple[object, ...]:
        opened, closed = int(close[i]), int(close[i + 1])
        high, low = max(opened, closed) + 25, min(opened, closed) - 25
        prices = (_decimal(steps, 1) for steps in (opened, high, low, closed))
        opens = (START + i * MINUTE) // 10**6
        base = _decimal(volume[i], 3)
        return (opens, *prices, base, opens + 59_999, "0", 100, "0", "0", "0")

    return _text((), (row(i) for i in range(1_440)))


def _deltas() -> str:
    """Return a book that is cleared, filled, and then changed at one level after another."""
    random = _random(14)
    rows: list[tuple[object, ...]] = [(START, "CLEAR", "NO_ORDER_SIDE", "0", "0", 0, 0, 0)]
    sides = (("BUY", -1), ("SELL", 1))
    for level in range(10):
        for side, sign in sides:
            price = _decimal(420_000 + sign * (level + 1), 1)
            rows.append((START, "ADD", side, price, "1.500", level * 2 + (sign > 0) + 1, 0, 0))
    for i in range(BOOKS):
        level, at = int(random.integers(0, 10)), int(random.integers(0, 2))
        side, sign = sides[at]
        price = _decimal(420_000 + sign * (level + 1), 1)
        size = _decimal(int(random.integers(1, 5_000)), 3)
        time = START + (i + 1) * 250_000_000
        rows.append((time, "UPDATE", side, price, size, level * 2 + at + 1, 0, i + 1))
    header = ("timestamp", "action", "side", "price", "size", "order_id", "flags", "sequence")
    return _text(header, rows)


def _depth() -> str:
    middle = _walk(15, BOOKS, 420_000, 4.0, 0.001)
    sizes = _random(16).integers(1, 5_000, (BOOKS, 20))
    names = [f"{s}_{w}_{i}" for s in ("bid", "ask") for w in ("price", "size") for i in range(10)]

    def row(i: int) -> list[object]:
        made: list[object] = [START + i * 500_000_000]
        for at, sign in ((0, -1), (1, 1)):
            made += [_decimal(middle[i] + sign * (level + 1), 1) for level in range(10)]
            made += [_decimal(sizes[i, at * 10 + level], 3) for level in range(10)]
        return made

    return _text(["timestamp", *names], (row(i) for i in range(BOOKS)))


def _marks(number: int) -> str:
    value = _walk(16 + number, BOOKS, 420_000, 4.0, 0.001)
    rows = ((START + i * 1_000_000_000, _decimal(value[i], 1)) for i in range(BOOKS))
    return _text(("timestamp", "value"), rows)
