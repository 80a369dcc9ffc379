"""Synthetic market data, the same at every run: a seeded walk, in whole price steps."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

SEED = 7
START = int(datetime(2024, 1, 8, tzinfo=UTC).timestamp())  # a Monday
Row = tuple[object, ...]
Price = Callable[[int], str]


def price(decimals: int) -> Price:
    """Return a function that writes a number of price steps as a decimal."""

    def write(steps: int) -> str:
        whole, rest = divmod(steps, 10**decimals)
        return f"{whole}.{rest:0{decimals}d}"

    return write


def minute_bars(first: int, minutes: int, write: Price, offset: int) -> Iterator[Row]:
    """Yield ``timestamp, open, high, low, close, volume``, stamped at the close.

    Slow waves under the noise give a trend follower something to follow.
    """
    random, now, drift = Random(SEED), first, 0.0
    yield ("timestamp", "open", "high", "low", "close", "volume")
    for minute in range(1, minutes + 1):
        drift = 0.995 * drift + random.gauss(0, 0.15)
        opening, now = now, now + round(random.gauss(drift, 9))
        high = max(opening, now) + int(abs(random.gauss(0, 5)))
        low = min(opening, now) - int(abs(random.gauss(0, 5)))
        stamp = datetime.fromtimestamp(START + 60 * minute, UTC).isoformat()
        prices = (write(steps + offset) for steps in (opening, high, low, now))
        yield (stamp, *prices, random.randrange(1, 500) * 1000)


def quotes(first: int, count: int, write: Price) -> Iterator[Row]:
    """Yield ``ts_event, bid, ask, bid_size, ask_size``, a few a second."""
    yield ("ts_event", "bid", "ask", "bid_size", "ask_size")
    for random, stamp, now in _ticks(first, count):
        spread = random.randrange(1, 5)
        sizes = (random.randrange(1, 50) * 1000 for _ in range(2))
        yield (stamp, write(now), write(now + spread), *sizes)


def trades(first: int, count: int, write: Price) -> Iterator[Row]:
    """Yield ``ts_event, price, size, side, trade_id``."""
    yield ("ts_event", "price", "size", "side", "trade_id")
    for number, (random, stamp, now) in enumerate(_ticks(first, count), 1):
        size = f"0.{random.randrange(1, 1000):03d}"
        yield (stamp, write(now), size, random.choice(("BUY", "SELL")), number)


def values(first: int, count: int, write: Price) -> Iterator[Row]:
    """Yield ``ts_event, value``: mark or index prices, one a second."""
    yield ("ts_event", "value")
    random, now = Random(SEED), first
    for second in range(count):
        now += round(random.gauss(0, 30))
        yield ((START + second) * 10**9, write(now))


def depths(first: int, count: int, write: Price) -> Iterator[Row]:
    """Yield books of ten levels, one a second."""
    names = [f"{side}_{what}_{i}" for side in ("bid", "ask") for i in range(10) for what in _LEVEL]
    yield ("ts_event", *names)
    random, now = Random(SEED), first
    for second in range(count):
        now += round(random.gauss(0, 30))
        bids = [cell for i in range(10) for cell in (write(now - 10 * i), _size(random))]
        asks = [cell for i in range(10) for cell in (write(now + 10 * (i + 1)), _size(random))]
        yield ((START + second) * 10**9, *bids, *asks)


_LEVEL = ("price", "size")


def deltas(first: int, count: int, write: Price) -> Iterator[Row]:
    """Yield changes of a book by price level: ten levels a side are added, then updated."""
    yield ("ts_event", "action", "side", "price", "size", "order_id", "flags", "sequence")
    random, sequence = Random(SEED), 0
    for i in range(10):
        for side, level in (("BUY", first - 10 * i), ("SELL", first + 10 * (i + 1))):
            sequence += 1
            last = 128 if sequence == 20 else 0  # F_LAST: the book is whole after it
            stamp = START * 10**9
            yield (stamp, "ADD", side, write(level), _size(random), level, last, sequence)
    for second in range(1, count + 1):
        sequence += 1
        i = random.randrange(10)
        side, level = random.choice((("BUY", first - 10 * i), ("SELL", first + 10 * (i + 1))))
        stamp = (START + second) * 10**9
        yield (stamp, "UPDATE", side, write(level), _size(random), level, 128, sequence)


def _size(random: Random) -> str:
    return f"{random.randrange(1, 20)}.{random.randrange(1000):03d}"


def _ticks(first: int, count: int) -> Iterator[tuple[Random, int, int]]:
    """Yield the random numbers, a time in nanoseconds, and the price in steps."""
    random, stamp, now = Random(SEED), START * 10**9, first
    for _ in range(count):
        stamp += random.randrange(50, 600) * 10**6
        now += random.randrange(-3, 4)
        yield random, stamp, now
