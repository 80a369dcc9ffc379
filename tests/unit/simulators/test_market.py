"""The candles of the simulated venues."""

from decimal import Decimal

from simulators.market import Candle, Market, candles

WIDTH = 60_000


def market(*trades: tuple[int, int, int]) -> Market:
    """Give a market with trades of (time, price, size)."""
    made = Market("X", Decimal(1), Decimal(1), Decimal(100))
    for ts, price, size in trades:
        made.trade(Decimal(price), Decimal(size), True, ts)
    return made


def candle(start: int, *values: int) -> Candle:
    """Give a candle of whole numbers."""
    return Candle(start, *map(Decimal, values))


def test_trades_of_a_minute_make_its_candle() -> None:
    """First, highest, lowest, last, the sum of the sizes and of what was paid."""
    made = market((1, 10, 1), (2, 12, 2), (3, 9, 1), (4, 11, 3))
    assert list(candles(made.trades, WIDTH)) == [candle(0, 10, 12, 9, 11, 7, 76)]


def test_minute_without_trades_is_flat() -> None:
    """An empty interval repeats the last price with no volume, and a trade then opens anew."""
    made = market((1, 10, 1), (2 * WIDTH, 12, 1))
    assert list(candles(made.trades, WIDTH)) == [
        candle(0, 10, 10, 10, 10, 1, 10),
        candle(WIDTH, 10, 10, 10, 10, 0, 0),
        candle(2 * WIDTH, 12, 12, 12, 12, 1, 12),
    ]


def test_latest_are_the_last_of_all() -> None:
    """The short way to the newest candles gives the same as folding everything."""
    made = market(*((step * 7_000, 100 + step % 13, 1 + step % 3) for step in range(200)))
    for width in (WIDTH, 5 * WIDTH, 1440 * WIDTH):
        newest = made.latest(width)
        assert newest == list(candles(made.trades, width))[-len(newest) :]
        assert len(newest) >= 1


def test_latest_of_a_single_minute_is_it() -> None:
    """A market with one candle gives that."""
    assert market((5, 10, 1)).latest(WIDTH) == [candle(0, 10, 10, 10, 10, 1, 10)]


def test_time_does_not_go_back() -> None:
    """A trade that is given an earlier time than the last gets the last's."""
    assert [trade.ts for trade in market((50, 10, 1), (20, 11, 1)).trades] == [50, 50]
