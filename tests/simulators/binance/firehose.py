"""Events at a rate: the walking market, or a hose of book tickers for benchmarks."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from simulators.binance.market import Market
from simulators.binance.streams import Stream
from simulators.binance.symbols import FUTURES
from simulators.binance.wire import frame

if TYPE_CHECKING:
    from simulators.binance.scene import Scene

TOPS = 1_024
TURN_S = 0.002
TURN_MOST = 5_000  # events of a turn: a rate that cannot be kept must not make turns ever longer
Step = Callable[[Market], object]
ENOUGH = 4 << 20  # bytes that a client has not taken: the hose waits for it then


class Hose:
    """Book tickers of one symbol, written beforehand; row n is the same in every run.

    The book is left as it was, so a symbol that is hosed is not for depth streams. With ``stamp``
    the ask quantity's digits are the time of sending: microseconds modulo 10^9, in lots.
    """

    def __init__(self, market: Market, stamp: bool) -> None:
        symbol = market.symbol
        self.stream = Stream(symbol.market, f"{symbol.name.lower()}@bookTicker", "quote", "")
        self.symbol = symbol
        self.first = market.book.update + 1
        self.count = 0
        self._market = market
        self._stamp = stamp
        draw = random.Random(symbol.name)
        tops: list[tuple[int, int, int, int]] = []
        price = symbol.start
        for _ in range(TOPS):
            price += draw.randint(-1, 1)
            tops.append((price, draw.randint(1, 9_999), price + 1, draw.randint(1, 9_999)))
        self._rows = [self._write(*top) for top in tops]
        self._bytes = [self._tail(row) for row in self._rows]
        kind = '"e":"bookTicker",' if symbol.market == FUTURES else ""
        self._head = f'{{"stream":"{self.stream.name}","data":{{{kind}"u":'.encode()

    def _write(self, bid: int, bid_lots: int, ask: int, ask_lots: int) -> dict[str, str]:
        price, size = self.symbol.price, self.symbol.size
        return {"b": price(bid), "B": size(bid_lots), "a": price(ask), "A": size(ask_lots)}

    def _tail(self, row: dict[str, str]) -> bytes:
        fields = f',"s":"{self.symbol.name}","b":"{row["b"]}","B":"{row["B"]}","a":"{row["a"]}",'
        return (fields + '"A":"' + ("" if self._stamp else row["A"] + '"')).encode()

    def row(self, index: int) -> dict[str, str | int]:
        """Give the fields of row ``index``; a stamped one said another A."""
        return {"u": self.first + index, "s": self.symbol.name, **self._rows[index % TOPS]}

    def next(self) -> bytes:
        """Give the frame of the next row."""
        index, self.count = self.count, self.count + 1
        self._market.book.update += 1
        body = self._head + b"%d" % (self.first + index) + self._bytes[index % TOPS]
        if self._stamp:
            micros = time.time_ns() // 1_000 % 10**9
            body += self.symbol.size(micros).encode() + b'"'
        if self.symbol.market == FUTURES:
            body += b',"T":%d,"E":%d' % ((time.time_ns() // 1_000_000,) * 2)
        return frame(body + b"}}")


class Firehose:
    """What runs at a rate: tasks that make events until they are stopped."""

    def __init__(self, venue: "Scene") -> None:
        self._venue = venue
        self._tasks: list[asyncio.Task[None]] = []
        self.hoses: dict[str, Hose] = {}  # by stream key

    def stop(self) -> None:
        """Make no more events."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def run(self, markets: list[Market], quotes_per_s: float, trades_per_s: float) -> None:
        """Let books walk and trades happen, round the markets in turn."""
        self._start(markets, quotes_per_s, self._venue.step_quote)
        self._start(markets, trades_per_s, self._venue.step_trade)

    def _start(self, markets: list[Market], rate: float, step: Step) -> None:
        if rate > 0:
            self._tasks.append(asyncio.create_task(self._each(markets, rate, step)))

    async def _each(self, markets: list[Market], rate: float, step: Step) -> None:
        async for index in _paced(rate):
            step(markets[index % len(markets)])

    def hose(self, markets: list[Market], rate: float, stamp: bool, total: int | None) -> None:
        """Send book tickers at a rate (events per second over all markets), ``total`` at most."""
        hoses = [Hose(market, stamp) for market in markets]
        self.hoses |= {hose.stream.key: hose for hose in hoses}
        self._tasks.append(asyncio.create_task(self._hose(hoses, rate, total)))

    async def _hose(self, hoses: list[Hose], rate: float, total: int | None) -> None:
        hub = self._venue.hub
        async for index in _paced(rate, self._behind):
            if index == total:
                return
            hose = hoses[index % len(hoses)]
            data = hose.next()
            readers = [] if self._venue.silent else hub.readers(hose.stream.key)
            for wire in readers:
                wire.write(data)
            self._venue.hosed[hose.stream.key] += bool(readers)

    def _behind(self) -> bool:
        return any(wire.behind > ENOUGH for wire in self._venue.hub.wires)


async def _paced(rate: float, hold: Callable[[], bool] = bool) -> AsyncIterator[int]:
    """Count from 0 at ``rate`` a second; while ``hold`` says so nothing is due, nor later."""
    loop = asyncio.get_running_loop()
    begun, index = loop.time(), 0
    while True:
        await asyncio.sleep(TURN_S if rate > 500 else 0.5 / rate if rate > 25 else TURN_S * 10)
        if hold():
            begun = loop.time() - index / rate
            continue
        due = min(int((loop.time() - begun) * rate), index + TURN_MOST)
        for index in range(index, due):  # noqa: B020 - goes on where it stopped
            yield index
        index = max(index, due)
