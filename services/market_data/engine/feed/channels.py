"""The channels of a feed: opened and closed at the venue, with the state of each."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId

from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1 import marketdata_pb2
from meshkit import enums
from meshkit.times import to_timestamp
from services.market_data.engine.feed.bar_guard import BarGuards
from services.market_data.engine.feed.books import Book, of_book, of_depth, order_book
from services.market_data.engine.feed.capture import Buffer, Capture
from services.market_data.engine.feed.depths import follow_book, whole_book
from services.market_data.engine.feed.hooks import implements
from services.market_data.engine.feed.instruments import Instruments
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.objects import update
from services.market_data.engine.feed.subscribing import (
    BARS,
    COROUTINES,
    DELTAS,
    DEPTH,
    QUOTES,
    TRADES,
    Source,
    Wanted,
    is_needed,
    same_bars,
    source,
    source_of,
    subscribe,
    topic,
    unsubscribe,
    wanted_of,
)
from services.market_data.engine.feed.troubles import (
    RATE_LIMITED,
    UNREACHABLE,
    UNSUPPORTED,
    WAIT,
    Trouble,
    plain,
)
from services.market_data.live.frames import AskSnapshot, ItemStatus, Open, Snapshot

log = logging.getLogger("market_data.feed")

PENDING, LIVE, STALE, FAILED = "PENDING", "LIVE", "STALE", "FAILED"
DERIVED = ("MARK_PRICE", "INDEX_PRICE", "FUNDING_RATE")
"""Kinds that only derivatives have."""

LIVELY = (QUOTES, TRADES, DELTAS, DEPTH, "MARK_PRICE", "INDEX_PRICE")
"""Kinds of which a market in session is full."""

type Handler = Callable[[Any], None]


@dataclass
class Item:
    """A channel that the service wants."""

    frame: Open
    wanted: Wanted
    source: Source
    state: str = ""
    handler: Handler | None = None
    closed: bool = False
    again: bool = False
    """Whether its failure may pass."""


class Channels:
    """Opens and closes channels, and tells their states.

    ``engine``, ``msgbus``, ``cache`` and ``clock`` are a node's; ``client`` returns its client.
    """

    def __init__(
        self,
        node: Any,
        capture: Capture,
        link: Link,
        instruments: Instruments,
        on_broken: Callable[[Trouble], None],
    ) -> None:
        self._node = node
        self._capture = capture
        self._link = link
        self._instruments = instruments
        self._on_broken = on_broken
        self._items: dict[int, Item] = {}
        self._confirmed: set[Source] = set()
        self._connected = False
        self._loop = asyncio.get_running_loop()
        self._guards = BarGuards(node.engine, node.msgbus, self._loop, self._too_many_bars)
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the connection

    def connected(self) -> None:
        """Open what waits, and take what is open for live again."""
        self._connected = True
        for item in self._items.values():
            if item.state == STALE:
                self._say(item, LIVE if item.source in self._confirmed else PENDING)
            elif item.handler is None and (item.state != FAILED or item.again):
                self._start(item)

    def disconnected(self, reason: str, message: str) -> None:
        """Tell that what is open may be out of date."""
        self._connected = False
        for buffer in self._followers():
            buffer.followed = None  # the book may be out of date until its next snapshot
        for item in self._items.values():
            if item.state == LIVE:
                self._say(item, STALE, reason, message)

    def renewed(self) -> None:
        """Subscribe again at a new client to all that is open."""
        self._confirmed.clear()
        for which in {item.source for item in self._items.values() if item.handler is not None}:
            self._execute(subscribe(which[0], wanted_of(which), *self._at()))

    def outcome(self, command: Any, failed: Trouble | None) -> None:
        """Take what came of a subscription at the venue."""
        which = source_of(command)
        if failed is not None and failed.reason == UNREACHABLE:
            self._on_broken(failed)
            return
        if failed is None:
            self._confirmed.add(which)
        for item in [each for each in self._items.values() if each.source == which]:
            if item.handler is None:
                continue
            if failed is None:
                self._say(item, LIVE if self._connected else STALE)
                continue
            self._fail(item, failed)

    def _retry(self, item: Item) -> None:
        if self._connected and not item.closed and item.handler is None:
            self._say(item, PENDING)
            self._start(item)

    @property
    def lively(self) -> int:
        """Open channels that should not be quiet for long."""
        open_ = (item for item in self._items.values() if item.state in (LIVE, STALE))
        return sum(item.frame.kind in LIVELY for item in open_)

    # -- opening and closing

    def open(self, frame: Open) -> None:
        """Open a channel; its state is told as it becomes known."""
        try:
            wanted = wanted_in(frame)
            which = source(frame.kind, wanted)
        except ValueError as error:
            text = f"Nautilus has no such channel. {plain([str(error)])}"
            self._link.tell(ItemStatus(frame.channel, FAILED, UNSUPPORTED, text))
            return
        item = Item(frame, wanted, which)
        self._items[frame.channel] = item
        self._say(item, PENDING)
        if self._connected:
            self._start(item)

    def close(self, number: int) -> None:
        """Close a channel; nothing of it comes after the frame that says so."""
        item = self._items.pop(number, None)
        if item is not None:
            item.closed = True
            self._end(item)
        self._capture.close(number)

    def _start(self, item: Item) -> None:
        found = self._instruments.cached(item.frame.instrument_id)
        if found is not None:
            self._subscribe(item, found)
            return
        task = asyncio.create_task(self._find_and_subscribe(item))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _find_and_subscribe(self, item: Item) -> None:
        found, missing = await self._instruments.find(item.frame.instrument_id)
        if item.closed or item.handler is not None:
            return
        if missing is not None:
            self._fail(item, missing)
        elif self._connected:
            self._subscribe(item, found)

    def _subscribe(self, item: Item, instrument: Any) -> None:
        refused = self._unsupported(item, instrument)
        if refused is not None:
            self._fail(item, refused)
            return
        frame = item.frame
        buffer = Buffer(
            frame.channel,
            frame.kind,
            channel_of(frame),
            instrument.price_precision,
            instrument.size_precision,
        )
        self._capture.open(buffer)
        item.handler = self._handler(item, buffer)
        kind = self._kind(item)
        self._node.msgbus.subscribe(topic(kind, item.wanted), item.handler)
        if kind == DELTAS and self._is_used(item):  # a second time would empty the book
            self._begin_book(item, buffer)
        else:
            try:
                self._execute(subscribe(kind, item.wanted, *self._at()))
            except Exception:  # such as bars of a step too large: the others must go on
                log.exception("a channel that Nautilus cannot open")
                self._fail(item, Trouble(UNSUPPORTED, f"Nautilus cannot make {frame.bar_type}."))
                return
        if isinstance(item.wanted, BarType):
            self._guards.guard(item.wanted, instrument)
        if item.source in self._confirmed:
            self._say(item, LIVE)

    def _too_many_bars(self, bar_type: BarType, failed: Trouble) -> None:
        """Fail what bars of a type were made for, whose step is too small."""
        for item in self._items.values():
            if item.handler is not None and is_needed(bar_type, item.wanted):
                self._fail(item, failed)

    def _begin_book(self, item: Item, buffer: Buffer) -> None:
        """Let changes of a book that is followed already begin with the whole of it."""
        if item.frame.kind != DELTAS:
            return
        for followed in self._followers(item.source):
            if followed.followed is not None:
                book = self._node.cache.order_book(item.wanted)
                buffer.rows.extend(whole_book(book, followed.followed))
                self._capture.wake()
                return

    def _followers(self, which: Source | None = None) -> list[Buffer]:
        """Return the buffers whose rows are made of a book, of a source or of all, up to date."""
        items = [each for each in self._items.values() if self._kind(each) != each.frame.kind]
        numbers = [each.frame.channel for each in items if which in (None, each.source)]
        found = map(self._capture.find, numbers)
        buffers = [each for each in found if each is not None]
        for each in buffers:
            if each.before_sweep is not None:
                each.before_sweep()
        return buffers

    def _handler(self, item: Item, buffer: Buffer) -> Handler:
        if self._kind(item) != item.frame.kind:
            return follow_book(buffer, self._node.cache, item.wanted)
        if item.frame.kind == DELTAS:
            extend = buffer.rows.extend
            return lambda deltas: extend(deltas.deltas)
        return buffer.rows.append

    def _kind(self, item: Item) -> str:
        """Return the kind to subscribe to: depth is made of deltas where the venue has none."""
        return item.source[0] if item.frame.kind == DEPTH else item.frame.kind

    def _unsupported(self, item: Item, instrument: Any) -> Trouble | None:
        kind = item.frame.kind
        if kind in DERIVED and type(instrument).__name__ in _SPOT:
            return Trouble(UNSUPPORTED, f"A spot instrument has no {kind}.")
        if kind == DEPTH and not self._has(DEPTH) and self._has(DELTAS):
            item.source = (DELTAS, item.source[1])
        if self._has(item.source[0]):
            open_ = (each.wanted for each in self._items.values() if each.handler is not None)
            return not_both(item.wanted, open_)
        return Trouble(UNSUPPORTED, f"The adapter of the venue has no {item.source[0]}.")

    def _has(self, kind: str) -> bool:
        return implements(self._node.client, COROUTINES[kind])

    def _end(self, item: Item) -> None:
        """Take a channel off the bus, and off the venue when it was the last of its source."""
        if item.handler is None:
            return
        kind = self._kind(item)
        self._node.msgbus.unsubscribe(topic(kind, item.wanted), item.handler)
        item.handler = None
        if not self._is_used(item):
            self._confirmed.discard(item.source)
        self._execute(unsubscribe(kind, item.wanted, *self._at()))
        self._guards.settle()

    def _is_used(self, item: Item) -> bool:
        """Tell whether another open channel has the same source."""
        others = (each for each in self._items.values() if each is not item)
        return any(each.source == item.source and each.handler is not None for each in others)

    def _execute(self, command: Any) -> None:
        self._node.engine._execute_command(command)

    def _at(self) -> tuple[Any, int]:
        return self._node.client.id, self._node.clock.timestamp_ns()

    # -- states

    def _fail(self, item: Item, failed: Trouble) -> None:
        """End a channel that cannot be, or not now: then it is tried again."""
        self._end(item)
        self._say(item, FAILED, failed.reason, failed.message)
        item.again = failed.reason in (RATE_LIMITED, UNREACHABLE)
        if item.again:
            self._loop.call_later(failed.retry_after or WAIT, self._retry, item)

    def _say(self, item: Item, state: str, reason: str = "", message: str = "") -> None:
        if item.state != state:
            item.state = state
            self._link.tell(ItemStatus(item.frame.channel, state, reason, message))

    def state_of(self, kind: str, instrument_id: str) -> str:
        """Return the state of the channel of a kind and instrument, empty when there is none."""
        for item in self._items.values():
            if item.frame.kind == kind and item.frame.instrument_id == instrument_id:
                return item.state
        return ""

    # -- values

    def snapshot(self, ask: AskSnapshot) -> None:
        """Tell the newest value of a channel, after all that was received of it."""
        self._capture.sweep()
        item = self._items.get(ask.channel)
        payload = b"" if item is None else self._latest(item, ask.levels)
        self._link.tell(Snapshot(ask.id, ask.channel, self._capture.sequence, payload))

    def _latest(self, item: Item, levels: int) -> bytes:
        channel = channel_of(item.frame)
        if item.frame.kind == DELTAS:
            book = self._cached_book(item.frame.instrument_id)
            if book is None or not book.time:
                return b""
            made = live.MarketDataUpdate(channel=channel, order_book=order_book(book, levels))
            made.event_time.CopyFrom(to_timestamp(book.time))
            made.init_time.CopyFrom(to_timestamp(book.time))
            return made.SerializeToString()
        buffer = self._capture.find(item.frame.channel)
        if buffer is None or buffer.latest is None:
            return b""
        return update(item.frame.kind, channel, buffer.latest).SerializeToString()

    def book(self, instrument_id: str) -> tuple[Book, str] | None:
        """Return an order book that is open, and the state of its channel."""
        if state := self.state_of(DELTAS, instrument_id):
            return self._cached_book(instrument_id) or Book(), state
        for item in self._items.values():
            if item.frame.kind == DEPTH and item.frame.instrument_id == instrument_id:
                buffer = self._capture.find(item.frame.channel)
                latest = None if buffer is None else buffer.latest
                return Book() if latest is None else of_depth(latest), item.state
        return None

    def _cached_book(self, instrument_id: str) -> Book | None:
        book = self._node.cache.order_book(InstrumentId.from_str(instrument_id))
        return None if book is None else of_book(book)


_SPOT = frozenset({"CurrencyPair", "Equity", "Commodity", "TokenizedAsset"})


def wanted_in(frame: Open) -> Wanted:
    """Return the instrument id or bar type that a channel is of; raises ``ValueError``."""
    if frame.kind == BARS:
        return BarType.from_str(frame.bar_type)
    return InstrumentId.from_str(frame.instrument_id)


def not_both(wanted: Wanted, others: Iterable[Wanted]) -> Trouble | None:
    """Return why a channel cannot be beside others that are open; None when it can."""
    other = same_bars(wanted, others)
    if other is None:
        return None
    text = f"{other} is open, and {wanted} has the same bar type. Close that one first."
    return Trouble(UNSUPPORTED, text)


def channel_of(frame: Open) -> live.Channel:
    """Return the channel as batches name it."""
    kind = enums.number(marketdata_pb2.DataKind, frame.kind)
    return live.Channel(kind=kind, instrument_id=frame.instrument_id, bar_type=frame.bar_type)  # type: ignore[arg-type]  # a number
