"""Candles, folded from the trades: the same ones for the stream and for the REST history."""

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.binance.trades import Trade, Trades

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MONDAY = 4 * DAY  # the first Monday after the epoch, which was a Thursday

# The month is left out: its length varies, and Nautilus' data client never asks for it in tests.
INTERVALS = {
    "1s": SECOND,
    **{f"{n}m": n * MINUTE for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * HOUR for n in (1, 2, 4, 6, 8, 12)},
    **{f"{n}d": n * DAY for n in (1, 3)},
    "1w": 7 * DAY,
}


@dataclass(frozen=True, slots=True)
class Kline:
    """The trades of one interval; times in Unix milliseconds, prices in ticks, sums in lots."""

    start: int
    end: int  # the last millisecond that belongs to it
    open: int
    high: int
    low: int
    close: int
    lots: int
    taker_lots: int
    value: int  # Σ ticks × lots
    taker_value: int
    first: int  # trade ids; -1 when there was no trade
    last: int
    count: int


def opening(ms: int, width: int) -> int:
    """Give when the interval that holds a time opened."""
    origin = MONDAY if width == INTERVALS["1w"] else 0
    return ms - (ms - origin) % width


def kline(trades: Trades, start: int, width: int) -> Kline | None:
    """Fold one interval; flat at the last price when nothing traded, None when nothing ever did."""
    rows = trades.between(start, start + width - 1)
    if not rows:
        last = trades.before(start)
        if last is None:
            return None
        flat = last.ticks
        return Kline(start, start + width - 1, flat, flat, flat, flat, 0, 0, 0, 0, -1, -1, 0)
    return _fold(rows, start, width)


def _fold(rows: list[Trade], start: int, width: int) -> Kline:
    prices = [row.ticks for row in rows]
    taken = [row for row in rows if not row.maker]
    return Kline(
        start,
        start + width - 1,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum(row.lots for row in rows),
        sum(row.lots for row in taken),
        sum(row.ticks * row.lots for row in rows),
        sum(row.ticks * row.lots for row in taken),
        rows[0].id,
        rows[-1].id,
        len(rows),
    )


def klines(
    trades: Trades, width: int, start: int | None, end: int | None, now: int, limit: int
) -> list[Kline]:
    """Give the klines that open in a range, both ends included, at most ``limit``.

    With a start the oldest come first up to the limit, else the latest; the last may be unfinished.
    """
    if not trades.all:
        return []
    earliest = opening(trades.all[0].ms, width)
    latest = opening(min(now, now if end is None else end), width)
    low = earliest if start is None else max(earliest, opening(start + width - 1, width))
    if start is None:
        low = max(low, latest - (limit - 1) * width)
    return list(_each(trades, width, low, min(latest, low + (limit - 1) * width)))


def _each(trades: Trades, width: int, low: int, high: int) -> Iterator[Kline]:
    for start in range(low, high + 1, width):
        row = kline(trades, start, width)
        if row is not None:
            yield row
