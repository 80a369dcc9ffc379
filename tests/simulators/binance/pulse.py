"""What the venue sends by the clock: depth, mark prices, klines and pings."""

import asyncio
from typing import TYPE_CHECKING

from simulators.binance import payloads
from simulators.binance.book import Change, Diff
from simulators.binance.klines import INTERVALS, kline, opening
from simulators.binance.streams import ALL, Stream
from simulators.binance.symbols import FUTURES, Symbol
from simulators.binance.wire import PING, frame

if TYPE_CHECKING:
    from simulators.binance.scene import Scene

BEAT_S = 0.02
PING_EVERY_S = {"spot": 20.0, "futures": 180.0}
PONG_WITHIN_S = {"spot": 60.0, "futures": 600.0}


class Pulse:
    """Sends what is due, 50 times a second; marks and klines follow the venue's own clock."""

    def __init__(self, venue: "Scene", ping_every: float | None) -> None:
        self._venue = venue
        self._ping_every = ping_every
        self._diffs: dict[str, Diff] = {}  # what each diff stream has yet to say, by key
        self._partials: dict[str, int] = {}  # the update id that each partial stream said last
        self._opened: dict[str, int] = {}  # when the running kline of a stream opened
        self._due: dict[str, float] = {}  # when a stream speaks next, in the clock that it follows

    def begin(self, stream: Stream) -> None:
        """Take note of a stream's first subscription: from now on its klines are told."""
        if stream.kind == "kline":
            width = INTERVALS[stream.interval]
            self._opened[stream.key] = opening(self._venue.clock.now(), width)

    def changed(self, symbol: Symbol, changes: list[Change], update: int) -> None:
        """Take what changed in a book, for the depth streams of its symbol."""
        for stream in self._venue.hub.diffs.get((symbol.market, symbol.name), ()):
            self._diff(stream, update - len(changes)).add(changes, update)
            if not stream.every:
                self._say_diff(stream)

    def _diff(self, stream: Stream, before: int) -> Diff:
        return self._diffs.setdefault(stream.key, Diff(before))

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)

    def beat(self) -> None:
        """Send what is due now."""
        turn = asyncio.get_running_loop().time()
        says = {"diff": self._depth, "depth": self._depth, "kline": self._kline, "mark": self._mark}
        for stream in self._venue.hub.timed:
            says[stream.kind](stream, turn)
        self._ping(turn)

    def _depth(self, stream: Stream, turn: float) -> None:
        if turn < self._due.get(stream.key, 0.0):
            return
        self._due[stream.key] = turn + stream.every / 1000
        (self._say_diff if stream.kind == "diff" else self._say_partial)(stream)

    def _say_diff(self, stream: Stream) -> None:
        market = self._venue.market(stream.market, stream.symbol)
        row = self._diff(stream, market.book.update).take() if market else None
        if market and row:
            now = self._venue.clock.now()
            self._venue.emit(stream, payloads.diff(market.symbol, row, now), now)

    def _say_partial(self, stream: Stream) -> None:
        market = self._venue.market(stream.market, stream.symbol)
        if market is None:
            return
        update = market.book.update
        before = self._partials.get(stream.key, update - 1)
        if before != update:  # pushed when something changed, and once at the start
            self._partials[stream.key] = update
            now = self._venue.clock.now()
            self._venue.emit(stream, payloads.partial(market, stream.depth, before, now), now)

    def _mark(self, stream: Stream, _: float) -> None:
        second = self._venue.clock.now() // stream.every
        if second >= self._due.get(stream.key, 0.0):
            self._due[stream.key] = second + 1
            self.say_mark(stream)

    def say_mark(self, stream: Stream) -> None:
        """Send a mark price stream's event now."""
        now = self._venue.clock.now()
        if stream.symbol == ALL:
            markets = self._venue.touched(FUTURES)
            self._venue.emit(stream, [payloads.mark_price(m, now) for m in markets], now)
        elif market := self._venue.market(stream.market, stream.symbol):
            self._venue.emit(stream, payloads.mark_price(market, now), now)

    def _kline(self, stream: Stream, _: float) -> None:
        market = self._venue.market(stream.market, stream.symbol)
        if market is None:
            return
        now, width = self._venue.clock.now(), INTERVALS[stream.interval]
        opened = self._opened[stream.key]
        while opened + width <= now:  # each one that ended, though the clock may have jumped
            self._say_kline(stream, opened, closed=True)
            opened = self._opened[stream.key] = opened + width
        if now >= self._due.get(stream.key, 0.0):
            self._due[stream.key] = now + stream.every
            self._say_kline(stream, opened, closed=False)

    def _say_kline(self, stream: Stream, opened: int, closed: bool) -> None:
        market = self._venue.market(stream.market, stream.symbol)
        row = kline(market.trades, opened, INTERVALS[stream.interval]) if market else None
        if market and row and (row.count or closed):
            now = self._venue.clock.now()
            body = payloads.kline(market.symbol, stream.interval, row, closed, now)
            self._venue.emit(stream, body, now)

    def _ping(self, turn: float) -> None:
        for wire in list(self._venue.hub.wires):
            if self._venue.silent:  # no ping is sent, so no pong is due
                wire.ponged_at = turn
            elif turn - wire.ponged_at >= PONG_WITHIN_S[wire.market]:
                wire.end(1008)
                self._venue.hub.leave(wire)
            elif turn - wire.pinged_at >= (self._ping_every or PING_EVERY_S[wire.market]):
                wire.pinged_at = turn
                wire.write(frame(str(self._venue.clock.now()).encode(), PING))
