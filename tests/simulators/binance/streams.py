"""The names of market streams, such as ``btcusdt@depth@100ms``."""

import re
from dataclasses import dataclass

from simulators.binance.klines import INTERVALS
from simulators.binance.symbols import SPOT

ALL = "!"  # in place of a symbol: every one

# Milliseconds between two events of a stream, by market. 0 is as it happens: futures take it,
# though only 100, 250 and 500 are documented.
SPEEDS = {SPOT: (1000, 100), "futures": (250, 500, 100, 0)}
KLINE_EVERY = {SPOT: 2000, "futures": 250}
_NAME = re.compile(r"([a-z0-9_]+)@([a-zA-Z]+)(\d*)(?:_(\w+))?(?:@(\d+)(ms|s))?")
_MARKS = re.compile(r"!markPrice@arr(?:@(\d+)s)?")


@dataclass(frozen=True)
class Stream:
    """One stream of one market; ``every`` is the milliseconds between its events, 0 none."""

    market: str
    name: str
    kind: str
    symbol: str
    every: int = 0
    depth: int = 0
    interval: str = ""

    @property
    def key(self) -> str:
        """Give a name that is unique over the markets."""
        return f"{self.market}/{self.name}"


def parse(market: str, name: str) -> Stream | None:
    """Read a stream's name; None when the venue has no such stream (it takes them in silence)."""
    if marks := _MARKS.fullmatch(name):
        every = 1000 * int(marks[1] or 3)
        return Stream(market, name, "mark", ALL, every) if market != SPOT else None
    if not (parts := _NAME.fullmatch(name)):
        return None
    symbol, kind, number, interval, speed, unit = parts.groups()
    if kind == "depth":
        return _depth(market, name, symbol.upper(), int(number or 0), speed)
    if kind == "markPrice" and market != SPOT and unit in ("s", None):
        return Stream(market, name, "mark", symbol.upper(), 1000 * int(speed or 3))
    if kind == "kline" and interval in INTERVALS and (market == SPOT or interval != "1s"):
        every = 1000 if interval == "1s" else KLINE_EVERY[market]
        return Stream(market, name, "kline", symbol.upper(), every, interval=interval)
    plain = {"bookTicker": "quote", "trade": "trade", "aggTrade": "agg_trade"}
    if kind not in plain or number or interval or speed or (kind == "trade" and market != SPOT):
        return None
    return Stream(market, name, plain[kind], symbol.upper())


def _depth(market: str, name: str, symbol: str, depth: int, speed: str | None) -> Stream | None:
    every = SPEEDS[market][0] if speed is None else int(speed)
    if every not in SPEEDS[market] or depth not in (0, 5, 10, 20):
        return None
    kind = "depth" if depth else "diff"
    return Stream(market, name, kind, symbol, every, depth=depth)
