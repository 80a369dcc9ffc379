"""What happens at the simulated Binance, and who is told: markets, streams and a record."""

import asyncio
from abc import ABC
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self, cast

import msgspec

from simulators.binance import payloads
from simulators.binance.clock import Clock
from simulators.binance.firehose import Firehose
from simulators.binance.hub import Hub
from simulators.binance.market import Market
from simulators.binance.pulse import Pulse
from simulators.binance.streams import Stream
from simulators.binance.symbols import MARKETS, SPOT, Symbol, symbols
from simulators.exchange import Exchange, Sent


@dataclass(frozen=True)
class Event(Sent):
    """One event of a stream that somebody has or had, whether or not a connection got it.

    ``row`` is what was sent, ``ms`` the venue's time and ``count`` the number of the event in its
    stream, from 1.
    """

    kind: str
    market: str
    symbol: str
    ms: int
    count: int


@dataclass(frozen=True)
class Options:
    """How the venue is set up; all times in seconds.

    ``made_up`` symbols are listed beside the usual ones in each market; ``past`` is the length of
    the invented history, ``behind`` how far the venue's clock is behind the machine's, ``limits``
    whether a client that sends too many messages is cut, ``ping_every`` when to ping instead of
    what is documented.
    """

    seed: int = 7
    made_up: int = 0
    past: float = 7_200.0
    behind: float = 0.0
    limits: bool = False
    ping_every: float | None = None


class Scene(Exchange, ABC):
    """The venue's markets and streams; `Binance` adds its protocol and its faults."""

    def __init__(self, port: int = 0, options: Options | None = None) -> None:
        super().__init__(port)
        self.options = options or Options()
        self.clock = Clock(self.options.behind)
        self.pulse = Pulse(self, self.options.ping_every)
        self.hub = Hub(self.options.limits, self.pulse.begin)
        self.firehose = Firehose(self)
        self.hosed: Counter[str] = Counter()  # book tickers of the hose that were sent, by key
        self._mute = False
        self._counts: Counter[str] = Counter()
        self._symbols: dict[str, dict[str, Symbol]] = {market: {} for market in MARKETS}
        for symbol in symbols(self.options.made_up):
            self._symbols[symbol.market][symbol.name] = symbol
        self._markets: dict[tuple[str, str], Market] = {}
        self._beat: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._beat = asyncio.create_task(self.pulse.run())
        return self

    async def __aexit__(self, *reason: object) -> None:
        self.firehose.stop()
        if self._beat is not None:
            self._beat.cancel()
        await super().__aexit__(*reason)

    # -- what is there

    @property
    def events(self) -> list[Event]:
        """Give the record, `sent`, as what it holds."""
        return cast("list[Event]", self.sent)

    @property
    def http(self) -> str:
        """Give the base URL of REST, for both markets."""
        return f"http://127.0.0.1:{self.port}"

    def ws(self, market: str = SPOT) -> str:
        """Give the base URL of a market's streams."""
        return f"ws://127.0.0.1:{self.port}/{market}"

    def client(self, market: str = SPOT, **options: Any) -> dict[str, Any]:
        """Give the configuration of Nautilus' data client for a market, as JSON, with options."""
        return {
            "account_type": "SPOT" if market == SPOT else "USDT_FUTURES",
            "base_url_http": self.http,
            "base_url_ws": self.ws(market),
            "instrument_provider": {"load_all": True},
        } | options

    def listed(self, market: str) -> dict[str, Symbol]:
        """Give a market's symbols by name."""
        return self._symbols[market]

    def market(self, market: str, symbol: str) -> Market | None:
        """Give what happens at a symbol, its past being invented at the first call."""
        if (market, symbol) not in self._markets:
            if (listed := self._symbols[market].get(symbol)) is None:
                return None
            past = int(self.options.past * 1000)
            made = Market(listed, self.options.seed, self.clock.now(), past)
            self._markets[market, symbol] = made
        return self._markets[market, symbol]

    def touched(self, market: str) -> list[Market]:
        """Give the markets that somebody has asked for."""
        return [made for (name, _), made in self._markets.items() if name == market]

    def _market(self, market: str, symbol: str) -> Market:
        if market not in MARKETS or (made := self.market(market, symbol)) is None:
            raise ValueError(f"{market} {symbol} is not listed")
        return made

    # -- events

    @property
    def silent(self) -> bool:
        """Tell whether nothing is sent, over sockets that stay open."""
        return self._silent or self._mute

    def emit(self, stream: Stream, row: Any, ms: int) -> int:
        """Send and record an event of a stream; gives how many connections got it."""
        key = stream.key
        readers = 0 if self.silent else self.hub.publish(key, msgspec.json.encode(row))
        self._counts[key] += 1
        event = Event(
            key, row, readers, stream.kind, stream.market, stream.symbol, ms, self._counts[key]
        )
        self.sent.append(event)
        return readers

    def _emit(self, symbol: Symbol, what: str, row: Any, ms: int) -> None:
        stream = self.hub.streams.get(f"{symbol.market}/{symbol.name.lower()}@{what}")
        if stream is not None:
            self.emit(stream, row, ms)

    def step_quote(self, market: Market) -> None:
        """Let a book change and send its new top."""
        self.pulse.changed(market.symbol, market.walk(), market.book.update)
        self._say_quote(market)

    def _say_quote(self, market: Market) -> None:
        now = self.clock.now()
        self._emit(market.symbol, "bookTicker", payloads.book_ticker(market, now), now)

    def step_trade(self, market: Market) -> None:
        """Let somebody trade at the top of the book."""
        self._say_trade(market, market.trade(self.clock.now()).first)

    def _say_trade(self, market: Market, first: int) -> None:
        symbol, now = market.symbol, self.clock.now()
        for row in market.trades.all[first - 1 :]:
            self._emit(symbol, "trade", payloads.trade(symbol, row, now), now)
        whole = market.trades.aggregated[-1]
        self._emit(symbol, "aggTrade", payloads.agg_trade(symbol, whole, now), now)

    # -- commands: events

    def quote(
        self,
        market: str,
        symbol: str,
        bid: str | None = None,
        bid_size: str = "1",
        ask: str = "",
        ask_size: str = "1",
    ) -> None:
        """Send a quote now: the one given, which becomes the top of the book, or the next one."""
        made = self._market(market, symbol)
        if bid is None:
            return self.step_quote(made)
        read, lots = made.symbol.ticks, made.symbol.lots
        changes = made.book.put(read(bid), lots(bid_size), read(ask), lots(ask_size))
        self.pulse.changed(made.symbol, changes, made.book.update)
        return self._say_quote(made)

    def trade(
        self,
        market: str,
        symbol: str,
        price: str | None = None,
        sizes: tuple[str, ...] = ("1",),
        buyer_maker: bool = False,
    ) -> None:
        """Send a trade now: one taker's order that fills in ``sizes``, or the next one."""
        made = self._market(market, symbol)
        if price is None:
            return self.step_trade(made)
        lots = [made.symbol.lots(size) for size in sizes]
        row = made.trades.take(made.symbol.ticks(price), lots, buyer_maker, self.clock.now())
        return self._say_trade(made, row.first)

    def mark(self, symbol: str, mark: str, index: str, funding_rate: str | None = None) -> None:
        """Set a futures symbol's mark and index price and funding rate, and send them now."""
        self._market("futures", symbol).set_mark(mark, index, funding_rate)
        for stream in self.hub.timed:
            if stream.kind == "mark" and stream.symbol == symbol:
                self.pulse.say_mark(stream)

    def advance(self, seconds: float) -> int:
        """Move the venue's clock forward and send what is due; gives its Unix milliseconds."""
        now = self.clock.advance(seconds)
        self.pulse.beat()
        return now

    def run(
        self,
        quotes_per_s: float = 0.0,
        trades_per_s: float = 0.0,
        market: str = SPOT,
        symbols: tuple[str, ...] = ("BTCUSDT",),
    ) -> None:
        """Make events at a rate, over the symbols in turn, until `stop`."""
        made = [self._market(market, symbol) for symbol in symbols]
        self.firehose.run(made, quotes_per_s, trades_per_s)

    def hose(
        self,
        quotes_per_s: float,
        market: str = SPOT,
        symbols: tuple[str, ...] = ("BTCUSDT",),
        stamp: bool = False,
        total: int | None = None,
    ) -> None:
        """Send book tickers alone at a high rate, unrecorded; see `firehose.Hose`."""
        made = [self._market(market, symbol) for symbol in symbols]
        self.firehose.hose(made, quotes_per_s, stamp, total)

    def stop(self) -> None:
        """Stop what `run` and `hose` began."""
        self.firehose.stop()
