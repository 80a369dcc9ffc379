"""A venue without a network: an adapter that does what a test says over a Unix socket.

The adapter (`ADAPTER`, a plug-in of the mesh) connects to ``control``, where `Script` listens. It
tells what it is asked for; the test sends ticks, answers requests, or refuses. One JSON object a
line. `install` makes a folder that, on PYTHONPATH, brings the plug-in ``SCRIPTED``.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from nautilus_trader.common.providers import InstrumentProvider
from nautilus_trader.live.config import LiveDataClientConfig
from nautilus_trader.live.data_client import LiveMarketDataClient
from nautilus_trader.live.factories import LiveDataClientFactory
from nautilus_trader.model.data import (
    Bar,
    BarType,
    BookOrder,
    FundingRateUpdate,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    OrderBookDeltas,
    OrderBookDepth10,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import ClientId, InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CryptoPerpetual, CurrencyPair
from nautilus_trader.model.objects import Currency, Price, Quantity

from meshkit.nautilus.venue_adapter import VenueAdapter

NAME = "SCRIPTED"
PRICES, SIZES = 2, 3
"""Decimals of its instruments."""


def perpetual(symbol: str) -> CryptoPerpetual:
    """Return an instrument of the venue."""
    zero, usdt = Decimal(0), Currency.from_str("USDT")
    return CryptoPerpetual(
        InstrumentId(Symbol(symbol), Venue(NAME)), Symbol(symbol), Currency.from_str("BTC"), usdt,
        usdt, False, PRICES, SIZES, Price(Decimal("0.01"), PRICES),
        Quantity(Decimal("0.001"), SIZES), 0, 0,
        margin_init=zero, margin_maint=zero, maker_fee=zero, taker_fee=zero,
    )  # fmt: skip


def pair(symbol: str) -> CurrencyPair:
    """Return a spot instrument of the venue."""
    return CurrencyPair(
        InstrumentId(Symbol(symbol), Venue(NAME)), Symbol(symbol), Currency.from_str("BTC"),
        Currency.from_str("USDT"), PRICES, SIZES, Price(Decimal("0.01"), PRICES),
        Quantity(Decimal("0.001"), SIZES), 0, 0,
    )  # fmt: skip


class ScriptedConfig(LiveDataClientConfig, frozen=True):
    """Where the script is, how many instruments there are (S0, S1, …), and what is missing."""

    control: str = ""
    instruments: int = 3
    lacks: tuple[str, ...] = ()
    depth: bool = True
    """Whether the adapter has a coroutine for depth."""


class ScriptedDataClient(LiveMarketDataClient):
    """Does what the script says."""

    def __init__(self, config: ScriptedConfig, provider: InstrumentProvider, **parts: Any) -> None:
        super().__init__(
            client_id=ClientId(NAME), venue=Venue(NAME), instrument_provider=provider, **parts
        )
        self._settings = config
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def _connect(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._settings.control)
        said = json.loads(await reader.readline() or b'{"error": "connection closed"}')
        if "error" in said:
            raise RuntimeError(said["error"])
        for number in range(self._settings.instruments):
            self._add(perpetual(f"S{number}"))
        self._add(pair("SPOT"))
        self._reading = self._loop.create_task(self._read(reader))

    async def _disconnect(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()

    def _add(self, instrument: Any) -> None:
        self._instrument_provider.add(instrument)
        self._handle_data(instrument)

    def _tell(self, **what: Any) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(what).encode() + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError) as error:
                self._log.exception(f"Error handling message {line!r}", error)

    def _take(self, said: dict[str, Any]) -> None:
        if "answer" in said:
            self._waiting[said["answer"]].set_result(said)
        elif "burst" in said:
            self.create_task(self._burst(**said["burst"]))
        elif "crash" in said:
            import os

            os._exit(9)
        else:
            ((kind, values),) = said.items()
            self._handle_data(MAKERS[kind](self._clock.timestamp_ns(), *values))

    async def _burst(self, symbols: list[str], rate: float, total: int) -> None:
        """Emit quotes at a rate (a second), or as fast as it can, over symbols in turn."""
        ids = [InstrumentId(Symbol(each), Venue(NAME)) for each in symbols]
        prices = [Price(Decimal(100 + i) / 100, PRICES) for i in range(50)]
        one, clock = Quantity(Decimal(1), SIZES), self._clock.timestamp_ns
        began, made = self._loop.time(), 0
        while made < total:
            due = total if not rate else min(total, int((self._loop.time() - began) * rate) + 1)
            for number in range(made, min(due, made + 500)):
                now = clock()
                price = prices[number % 50]
                quote = QuoteTick(ids[number % len(ids)], price, price, one, one, number, now)
                self._handle_data(quote)
                made += 1
            await asyncio.sleep(0 if not rate else 0.001)

    async def _asked(self, kind: str, what: str, request: Any = None) -> dict[str, Any]:
        """Tell the script of a call and wait for what it answers."""
        number = next(self._numbers)
        answer = self._loop.create_future()
        self._waiting[number] = answer
        extra = {}
        if request is not None and getattr(request, "start", None) is not None:
            extra = {"start": request.start.value, "end": request.end.value, "limit": request.limit}
        self._tell(call=kind, what=what, number=number, **extra)
        said: dict[str, Any] = await answer
        if said.get("log"):
            self._log.error(said["log"])
        if "error" in said:
            raise RuntimeError(said["error"])
        return said

    async def _request_instrument(self, request: Any) -> None:
        said = await self._asked("request_instrument", str(request.instrument_id))
        if said.get("rows"):
            made = perpetual(said["rows"][0])
            self._add(made)
            self._handle_instrument(made, request.id, None, None, request.params)

    async def _request_trade_ticks(self, request: Any) -> None:
        said = await self._asked("request_trade_ticks", str(request.instrument_id), request)
        if "rows" in said:
            rows = [MAKERS["trade"](self._clock.timestamp_ns(), *row) for row in said["rows"]]
            self._handle_trade_ticks(
                request.instrument_id, rows, request.id, request.start, request.end, {}
            )

    async def _request_bars(self, request: Any) -> None:
        said = await self._asked("request_bars", str(request.bar_type), request)
        rows = [MAKERS["bar"](self._clock.timestamp_ns(), *row) for row in said["rows"]]
        self._handle_bars(request.bar_type, rows, request.id, request.start, request.end, {})


def _coroutine(kind: str) -> Callable[..., Any]:
    async def call(self: ScriptedDataClient, command: Any) -> None:
        if any(kind.endswith(each) for each in self._settings.lacks):
            raise NotImplementedError
        wanted = getattr(command, "bar_type", None) or command.instrument_id
        await self._asked(kind, str(wanted))

    return call


for _kind in (
    "quote_ticks", "trade_ticks", "bars", "order_book_deltas", "order_book_depth", "mark_prices",
    "index_prices", "funding_rates",
):  # fmt: skip
    for _verb in ("subscribe", "unsubscribe"):
        setattr(ScriptedDataClient, f"_{_verb}_{_kind}", _coroutine(f"{_verb}_{_kind}"))


class Depthless(ScriptedDataClient):
    """An adapter of a venue that has books, but no depth of ten levels."""

    _subscribe_order_book_depth = LiveMarketDataClient._subscribe_order_book_depth
    _unsubscribe_order_book_depth = LiveMarketDataClient._unsubscribe_order_book_depth


# -- rows: what a test sends → Nautilus objects


def _id(symbol: str) -> InstrumentId:
    return InstrumentId(Symbol(symbol), Venue(NAME))


def _quote(now: int, symbol: str, bid: str, ask: str, bid_size: str, ask_size: str, at: int) -> Any:
    sides = Price.from_str(bid), Price.from_str(ask)
    sizes = Quantity.from_str(bid_size), Quantity.from_str(ask_size)
    return QuoteTick(_id(symbol), *sides, *sizes, at, now)


def _trade(now: int, symbol: str, price: str, size: str, side: str, number: str, at: int) -> Any:
    values = Price.from_str(price), Quantity.from_str(size), AggressorSide[side]
    return TradeTick(_id(symbol), *values, TradeId(number), at, now)


def _bar(now: int, kind: str, *values: Any) -> Any:
    *prices, volume, at = values
    made = [Price.from_str(each) for each in prices]
    return Bar(BarType.from_str(kind), *made, Quantity.from_str(volume), at, now)


def _deltas(now: int, symbol: str, rows: list[list[Any]], at: int) -> Any:
    made = []
    for action, side, price, size, number, flags, sequence in rows:
        values = OrderSide[side], Price.from_str(price), Quantity.from_str(size), number
        order = BookOrder(*values)
        delta = OrderBookDelta(_id(symbol), BookAction[action], order, flags, sequence, at, now)
        made.append(delta)
    return OrderBookDeltas(_id(symbol), made)


def _depth(now: int, symbol: str, bids: list[Any], asks: list[Any], at: int) -> Any:
    def orders(side: OrderSide, rows: list[Any]) -> list[BookOrder]:
        return [BookOrder(side, Price.from_str(p), Quantity.from_str(s), 0) for p, s in rows]

    made = orders(OrderSide.BUY, bids), orders(OrderSide.SELL, asks)
    return OrderBookDepth10(_id(symbol), *made, [1] * 10, [2] * 10, 0, 5, at, now)


def _mark(now: int, symbol: str, value: str, at: int) -> Any:
    return MarkPriceUpdate(_id(symbol), Price.from_str(value), at, now)


def _index(now: int, symbol: str, value: str, at: int) -> Any:
    return IndexPriceUpdate(_id(symbol), Price.from_str(value), at, now)


def _funding(now: int, symbol: str, rate: str, minutes: int, due: int, at: int) -> Any:
    return FundingRateUpdate(_id(symbol), Decimal(rate), at, now, minutes, due)


MAKERS: dict[str, Callable[..., Any]] = {
    "quote": _quote, "trade": _trade, "bar": _bar, "deltas": _deltas, "depth": _depth,
    "mark": _mark, "index": _index, "funding": _funding,
}  # fmt: skip


class ScriptedFactory(LiveDataClientFactory):
    """Makes the data client."""

    @staticmethod
    def create(
        loop: Any, name: str, config: Any, msgbus: Any, cache: Any, clock: Any
    ) -> ScriptedDataClient:
        """Return a client."""
        parts = {"loop": loop, "msgbus": msgbus, "cache": cache, "clock": clock}
        made = ScriptedDataClient if config.depth else Depthless
        return made(config, InstrumentProvider(), **parts)


ADAPTER = VenueAdapter(NAME, ScriptedConfig, ScriptedFactory, venues=(NAME,))


# -- the side of the test


class Script:
    """The venue's other end: what the adapter asked for, and what it shall do."""

    def __init__(self, control: Path) -> None:
        self.control = control
        self.calls: list[tuple[str, str]] = []
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any] | None] = {}
        """What to answer to a call of a kind; None: nothing, ever."""
        self.refusal = ""
        """What to say to who connects."""
        self.connections = 0
        self._writer: asyncio.StreamWriter | None = None
        self._reading: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> dict[str, Any]:
        """The config of a feed of this venue."""
        return {"control": str(self.control)}

    def say(self, **what: Any) -> None:
        """Let the adapter do something: emit what is one of `MAKERS`, or a ``burst``."""
        assert self._writer is not None
        self._writer.write(json.dumps(what).encode() + b"\n")

    def say_garbage(self) -> None:
        """Send what the adapter cannot read."""
        assert self._writer is not None
        self._writer.write(b"no json\n")

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.connections += 1
        said = {"error": self.refusal} if self.refusal else {"connected": True}
        writer.write(json.dumps(said).encode() + b"\n")
        if self.refusal:
            writer.close()
            return
        self._writer = writer
        with suppress(ConnectionError):
            while line := await reader.readline():
                self._answer(json.loads(line))

    def _answer(self, asked: dict[str, Any]) -> None:
        self.calls.append((asked["call"], asked["what"]))
        self.asked.append(asked)
        answer = self.answers.get(asked["what"], self.answers.get(asked["call"], {}))
        if answer is not None:
            self.say(answer=asked["number"], **answer)


@asynccontextmanager
async def script(folder: Path) -> AsyncIterator[Script]:
    """Listen for the adapter in a folder."""
    made = Script(folder / "venue.sock")
    server = await asyncio.start_unix_server(made.accept, made.control)
    try:
        yield made
    finally:
        server.close()


def install(folder: Path) -> Path:
    """Write the plug-in's entry point into a folder that shall be on PYTHONPATH."""
    info = folder / "mesh_scripted-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    metadata = "Metadata-Version: 2.1\nName: mesh-scripted\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata)
    points = f"[nautilus_mesh.venues]\n{NAME} = simulators.scripted:ADAPTER\n"
    (info / "entry_points.txt").write_text(points)
    return folder
