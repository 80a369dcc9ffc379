"""Kinds of channels ↔ Nautilus' commands, topics and coroutines of adapters."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nautilus_trader.common.data_topics import TopicCache
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data import messages
from nautilus_trader.model.data import BarType, OrderBookDelta, OrderBookDepth10
from nautilus_trader.model.enums import BookType, PriceType
from nautilus_trader.model.identifiers import ClientId, InstrumentId

BARS, DELTAS, DEPTH = "BAR", "ORDER_BOOK_DELTA", "ORDER_BOOK_DEPTH10"
QUOTES, TRADES = "QUOTE_TICK", "TRADE_TICK"

COROUTINES = {
    QUOTES: "_subscribe_quote_ticks",
    TRADES: "_subscribe_trade_ticks",
    BARS: "_subscribe_bars",
    DELTAS: "_subscribe_order_book_deltas",
    DEPTH: "_subscribe_order_book_depth",
    "MARK_PRICE": "_subscribe_mark_prices",
    "INDEX_PRICE": "_subscribe_index_prices",
    "FUNDING_RATE": "_subscribe_funding_rates",
}
"""The coroutine of a client that subscribes to a kind at the venue."""

_WORDS = {
    QUOTES: "QuoteTicks",
    TRADES: "TradeTicks",
    BARS: "Bars",
    "MARK_PRICE": "MarkPrices",
    "INDEX_PRICE": "IndexPrices",
    "FUNDING_RATE": "FundingRates",
}

_TOPICS: dict[str, Callable[[TopicCache, Any], str]] = {
    QUOTES: lambda topics, wanted: topics.get_quotes_topic(wanted),
    TRADES: lambda topics, wanted: topics.get_trades_topic(wanted),
    BARS: lambda topics, wanted: topics.get_bars_topic(wanted.standard()),
    DELTAS: lambda topics, wanted: topics.get_deltas_topic(wanted),
    DEPTH: lambda topics, wanted: topics.get_depth_topic(wanted),
    "MARK_PRICE": lambda topics, wanted: topics.get_mark_prices_topic(wanted),
    "INDEX_PRICE": lambda topics, wanted: topics.get_index_prices_topic(wanted),
    "FUNDING_RATE": lambda topics, wanted: topics.get_funding_rates_topic(wanted),
}
_topics = TopicCache()

type Wanted = InstrumentId | BarType
type Source = tuple[str, str]
"""What is subscribed to at the venue: a kind, and an instrument id or bar type."""


def topic(kind: str, wanted: Wanted) -> str:
    """Return the topic of the message bus on which a kind comes."""
    return _TOPICS[kind](_topics, wanted)


def source(kind: str, wanted: Wanted) -> Source:
    """Return what a channel needs of the venue: internal bars need ticks, or other bars."""
    if not isinstance(wanted, BarType) or wanted.is_externally_aggregated():
        return kind, str(wanted)
    if wanted.is_composite():
        inner = wanted.composite()
        return source(BARS, inner) if inner.is_internally_aggregated() else (BARS, str(inner))
    by_trades = wanted.spec.price_type == PriceType.LAST
    return (TRADES if by_trades else QUOTES), str(wanted.instrument_id)


def needed(bar_type: BarType) -> Iterator[BarType]:
    """Yield a type and the internal ones that it is made of."""
    yield bar_type
    while bar_type.is_composite() and bar_type.composite().is_internally_aggregated():
        bar_type = bar_type.composite()
        yield bar_type


def is_needed(bar_type: BarType, wanted: Wanted) -> bool:
    """Tell whether a channel is of the bars of a type, or of bars made of them."""
    if not isinstance(wanted, BarType):
        return False
    return any(each.standard() == bar_type.standard() for each in needed(wanted))


def same_bars(wanted: Wanted, others: Iterable[Wanted]) -> BarType | None:
    """Return another type whose bars Nautilus does not tell apart from those of ``wanted``.

    A bar is named without what it is made of, so only one such type can be open at a time.
    """
    if not isinstance(wanted, BarType):
        return None
    types = (other for other in others if isinstance(other, BarType))
    alike = (other for other in types if other.standard() == wanted.standard())
    return next((other for other in alike if str(other) != str(wanted)), None)


def wanted_of(which: Source) -> Wanted:
    """Return the instrument id or bar type of a source."""
    kind, text = which
    return BarType.from_str(text) if kind == BARS else InstrumentId.from_str(text)


def source_of(command: Any) -> Source:
    """Return the source of a command that a client was given."""
    if isinstance(command, messages.SubscribeBars):
        return BARS, str(command.bar_type)
    if isinstance(command, messages.SubscribeOrderBook):
        kind = DELTAS if command.data_type.type is OrderBookDelta else DEPTH
        return kind, str(command.instrument_id)
    name = type(command).__name__.removeprefix("Subscribe")
    kind = next(kind for kind, word in _WORDS.items() if word == name)
    return kind, str(command.instrument_id)


def subscribe(kind: str, wanted: Wanted, client: ClientId, now: int) -> Any:
    """Return the command that subscribes; an order book is kept in the cache."""
    if kind in (DELTAS, DEPTH):
        data = OrderBookDelta if kind == DELTAS else OrderBookDepth10
        return messages.SubscribeOrderBook(
            wanted, data, BookType.L2_MBP, client, None, UUID4(), now, 0, kind == DELTAS
        )
    made = getattr(messages, f"Subscribe{_WORDS[kind]}")
    return made(wanted, client, None, UUID4(), now)


def unsubscribe(kind: str, wanted: Wanted, client: ClientId, now: int) -> Any:
    """Return the command that ends a subscription."""
    if kind in (DELTAS, DEPTH):
        data = OrderBookDelta if kind == DELTAS else OrderBookDepth10
        return messages.UnsubscribeOrderBook(wanted, data, client, None, UUID4(), now)
    made = getattr(messages, f"Unsubscribe{_WORDS[kind]}")
    return made(wanted, client, None, UUID4(), now)
