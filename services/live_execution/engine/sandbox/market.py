"""What a sandbox knows of its markets, taken along over a restart in the middle of a replay.

Nothing in a matching engine can be set from outside, so it is given data again that leads to the
same state: the last quote, trade and bars of an instrument, and for L2 and L3 the whole book.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from nautilus_trader.core.data import Data
from nautilus_trader.execution.matching_core import MatchingCore
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import (
    Bar,
    BookOrder,
    OrderBookDelta,
    OrderBookDeltas,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import (
    AggregationSource,
    AggressorSide,
    BookAction,
    BookType,
    OrderSide,
)
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity

KINDS: dict[str, Any] = {"QuoteTick": QuoteTick, "TradeTick": TradeTick, "Bar": Bar}
BARS = 2
"""Bars of a type that are kept: a flat bar leaves the sizes of the one before."""


class Seen(msgspec.Struct, frozen=True):
    """A piece of data, as its class's ``to_dict`` gives it, and its place in the order."""

    number: int
    kind: str
    values: dict[str, Any]


class Level(msgspec.Struct, frozen=True):
    """An order of a book."""

    side: int
    price: str
    size: str
    order_id: int


class State(msgspec.Struct, frozen=True):
    """The market of an instrument."""

    instrument_id: str
    seen: tuple[Seen, ...]
    prices: tuple[str, str, str]
    """Bid, ask and last of the matching core; empty for what there is not."""
    book: tuple[Level, ...] = ()
    book_ts: int = 0


class Market:
    """The last data of each kind that a venue was given."""

    def __init__(self) -> None:
        self._last: dict[InstrumentId, dict[Any, deque[tuple[int, Any]]]] = {}
        self._count = 0
        self._made: dict[InstrumentId, tuple[int, State]] = {}
        """States of L1 markets, and the number of the data after which they were."""

    def note(self, instrument_id: InstrumentId, data: Data) -> None:
        """Note data that the venue is about to match on."""
        kind: Any = type(data)
        if kind is Bar:
            kind = cast("Bar", data).bar_type
            if kind.aggregation_source == AggregationSource.INTERNAL:
                return
        elif kind.__name__ not in KINDS:
            return
        self._count += 1
        kinds = self._last.setdefault(instrument_id, {})
        if kind not in kinds:
            kinds[kind] = deque(maxlen=BARS if isinstance(data, Bar) else 1)
        kinds[kind].append((self._count, data))

    def states(self, exchange: Any) -> list[State]:
        """Return the state of every market of a venue."""
        return [self._state(exchange, instrument_id) for instrument_id in exchange.instruments]

    def _state(self, exchange: Any, instrument_id: InstrumentId) -> State:
        told = _told(exchange.core(instrument_id))
        kinds = self._last.get(instrument_id, {})
        newest = max((kind[-1][0] for kind in kinds.values()), default=0)
        number, known = self._made.get(instrument_id, (0, None))
        if exchange.book_type != BookType.L1_MBP:
            book = exchange.get_book(instrument_id)
            seen = _seen(kinds)
            return State(instrument_id.value, seen, told, tuple(_levels(book)), book.ts_last)
        if known is None or newest != number or known.prices != told:
            # Asked for after each event of an order: of most instruments nothing has changed.
            known = State(instrument_id.value, _seen(kinds), told)
            self._made[instrument_id] = (newest, known)
        return known


def _seen(kinds: dict[Any, deque[tuple[int, Any]]]) -> tuple[Seen, ...]:
    noted = sorted((pair for kind in kinds.values() for pair in kind), key=lambda pair: pair[0])
    return tuple(Seen(n, type(data).__name__, type(data).to_dict(data)) for n, data in noted)


def give_again(client: Any, state: State) -> bool:
    """Lead a new matching engine to a state; say whether it is the same to the last price."""
    instrument_id = InstrumentId.from_str(state.instrument_id)
    instrument = client._instrument(instrument_id)
    if instrument is None:
        return False
    core = client.exchange.core(instrument_id)
    data = [KINDS[seen.kind].from_dict(seen.values) for seen in state.seen]
    for each in data:
        if isinstance(each, QuoteTick) and each is data[-1]:
            client.on_data(_last(each, core, state.prices[2]))
        if isinstance(each, TradeTick):
            for pin in _pins(each, core, state.prices):
                client.on_data(pin)
        client.on_data(each)
    if state.book:
        client.on_data(_deltas(instrument_id, state))
    if _told(core) != state.prices and data:
        # Commands after the last data have set the core to the top of the book.
        client.exchange.get_matching_engine(instrument_id).iterate(data[-1].ts_init)
    return _told(core) == state.prices


def _prices(core: MatchingCore) -> tuple[Price | None, Price | None, Price | None]:
    return core.bid, core.ask, core.last


def _told(core: MatchingCore) -> tuple[str, str, str]:
    bid, ask, last = ("" if price is None else str(price) for price in _prices(core))
    return bid, ask, last


def _last(before: QuoteTick, core: MatchingCore, price: str) -> TradeTick | QuoteTick:
    """Return a trade at the last price: a fill sets it too. A quote puts the rest right again."""
    if not price or _told(core)[2] == price:
        return before
    values = (AggressorSide.NO_AGGRESSOR, TradeId("0"), before.ts_event, before.ts_init)
    return TradeTick(before.instrument_id, Price.from_str(price), before.bid_size, *values)


def _pins(last: TradeTick, core: MatchingCore, prices: tuple[str, str, str]) -> Iterator[TradeTick]:
    """Give trades that move bid and ask as far as those before the last have moved them."""
    bid, ask, _ = prices
    for text, side, known in (
        (ask, AggressorSide.BUYER, core.ask),
        (bid, AggressorSide.SELLER, core.bid),
    ):
        if not text:
            continue
        price = Price.from_str(text)
        beyond = known is None or (price > known if side == AggressorSide.BUYER else price < known)
        if beyond:
            yield TradeTick(
                last.instrument_id,
                price,
                last.size,
                side,
                TradeId("0"),
                last.ts_event,
                last.ts_init,
            )


def _levels(book: OrderBook) -> Iterator[Level]:
    for side in (book.bids(), book.asks()):
        for level in side:
            for order in level.orders():
                number = 1 if order.side == OrderSide.BUY else 2
                yield Level(number, str(order.price), str(order.size), order.order_id)


def _deltas(instrument_id: InstrumentId, state: State) -> OrderBookDeltas:
    ts = state.book_ts
    deltas = [OrderBookDelta.clear(instrument_id, 0, ts, ts)]
    for level in state.book:
        order = BookOrder(
            OrderSide(level.side),
            Price.from_str(level.price),
            Quantity.from_str(level.size),
            level.order_id,
        )
        deltas.append(OrderBookDelta(instrument_id, BookAction.ADD, order, 0, 0, ts, ts))
    return OrderBookDeltas(instrument_id, deltas)
