"""The channels of a replay: opened and closed, with the state of each."""

import asyncio
import logging
from dataclasses import dataclass

from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId

from mesh.marketdata.v1 import live_pb2 as live
from meshkit.nautilus.ticks import objects_of
from meshkit.times import to_timestamp
from services.market_data.domain import Series
from services.market_data.engine.feed.books import Book, of_depth, order_book
from services.market_data.engine.feed.capture import Buffer
from services.market_data.engine.feed.channels import (
    FAILED,
    LIVE,
    PENDING,
    channel_of,
    not_both,
    wanted_in,
)
from services.market_data.engine.feed.instruments import Instruments
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.objects import update
from services.market_data.engine.feed.subscribing import (
    BARS,
    DELTAS,
    DEPTH,
    Wanted,
    is_needed,
    needed,
    source,
)
from services.market_data.engine.feed.troubles import REFUSED, UNSUPPORTED, Trouble, plain
from services.market_data.engine.replay.bars import Bars
from services.market_data.engine.replay.player import Player
from services.market_data.engine.replay.sender import Sender
from services.market_data.engine.replay.track import Track
from services.market_data.live.columns import updates
from services.market_data.live.frames import AskSnapshot, ItemStatus, Open, Snapshot
from services.market_data.live.stored_columns import batch_of

log = logging.getLogger("market_data.feed")


@dataclass
class Item:
    """A channel that the service wants. ``series`` is what is played for it."""

    frame: Open
    wanted: Wanted
    series: Series
    state: str = ""
    closed: bool = False

    @property
    def bar_type(self) -> BarType | None:
        """The bar type, when Nautilus makes its bars here."""
        if isinstance(self.wanted, BarType) and self.wanted.is_internally_aggregated():
            return self.wanted
        return None


class ReplayChannels:
    """Opens channels one after another, in the order of the commands."""

    def __init__(
        self, player: Player, sender: Sender, link: Link, bars: Bars, instruments: Instruments
    ) -> None:
        self._player, self._sender, self._link = player, sender, link
        self._bars, self._instruments = bars, instruments
        self._items: dict[int, Item] = {}
        self._waiting: asyncio.Queue[Item] = asyncio.Queue()
        player.on_unread = self.unread
        bars.on_refused = self.too_many_bars

    # -- opening and closing

    def open(self, frame: Open) -> None:
        """Open a channel; its state is told as it becomes known."""
        try:
            wanted = wanted_in(frame)
            series = _series(frame.kind, wanted)
        except ValueError as error:
            text = f"Nautilus has no such channel. {plain([str(error)])}"
            self._link.tell(ItemStatus(frame.channel, FAILED, UNSUPPORTED, text))
            return
        item = self._items[frame.channel] = Item(frame, wanted, series)
        self._say(item, PENDING)
        self._player.opening += 1
        self._waiting.put_nowait(item)

    def close(self, number: int) -> None:
        """Close a channel; nothing of it comes after the frame that says so."""
        item = self._items.pop(number, None)
        if item is not None:
            item.closed = True
            if item.state == LIVE:
                self._end(item)
        self._sender.close(number)

    async def run(self) -> None:
        """Open what is to be opened, for ever."""
        while True:
            item = await self._waiting.get()
            try:
                if not item.closed:
                    await self._begin(item)
            except Exception:  # a file that cannot be read: the others are played
                log.exception("a channel could not be opened")
                self._fail(item, _unread(item.series))
            finally:
                self._player.opening -= 1
                self._player.wake()

    async def _begin(self, item: Item) -> None:
        failed = await self._player.refusal(item.series)
        instrument = None
        if failed is None:
            failed = self._not_both(item)
        if failed is None and item.bar_type is not None:
            instrument, failed = await self._instruments.find(str(item.bar_type.instrument_id))
        if failed is not None:
            self._fail(item, failed)
            return
        await self._player.join(item.series, lambda track: self._use(item, instrument, track))

    def _use(self, item: Item, instrument: object, track: Track) -> None:
        """Let a channel have the rows of a track, or the bars made of them."""
        if item.closed:
            self._player.leave(item.series)
            return
        if item.bar_type is None:
            track.numbers[item.frame.channel] = channel_of(item.frame)
        else:
            self._make_bars(item, item.bar_type, instrument)
            track.bars += 1
        self._say(item, LIVE)

    def _make_bars(self, item: Item, bar_type: BarType, instrument: object) -> None:
        price, size = instrument.price_precision, instrument.size_precision  # type: ignore[attr-defined]  # one of many classes
        buffer = Buffer(item.frame.channel, BARS, channel_of(item.frame), price, size)
        self._sender.open(buffer)
        self._bars.open(bar_type, buffer, instrument, self._player.position)

    def _end(self, item: Item) -> None:
        track = self._player.find(item.series)
        assert track is not None  # the item is live
        if item.bar_type is None:
            del track.numbers[item.frame.channel]
        else:
            self._bars.close(item.bar_type)
            track.bars -= 1
        self._player.leave(item.series)

    def unread(self, series: Series) -> None:
        """Fail what a series that cannot be read was played for."""
        for item in self._items.values():
            if item.series == series and item.state == LIVE:
                if item.bar_type is not None:
                    self._bars.close(item.bar_type)
                self._fail(item, _unread(series))

    def too_many_bars(self, bar_type: BarType, failed: Trouble) -> None:
        """Fail what bars of a type were made for, whose step is too small."""
        for item in self._items.values():
            if item.state == LIVE and is_needed(bar_type, item.wanted):
                self._end(item)
                self._fail(item, failed)

    def _not_both(self, item: Item) -> Trouble | None:
        """Return why bars cannot be made beside others, which they or those are made of."""
        if item.bar_type is None:
            return None
        live_ = [each.bar_type for each in self._items.values() if each.state == LIVE]
        open_ = [each for made in live_ if made is not None for each in needed(made)]
        troubles = (not_both(each, open_) for each in needed(item.bar_type))
        return next((each for each in troubles if each is not None), None)

    # -- states

    def _fail(self, item: Item, failed: Trouble) -> None:
        self._say(item, FAILED, failed.reason, failed.message)

    def _say(self, item: Item, state: str, reason: str = "", message: str = "") -> None:
        if item.state != state and not item.closed:
            item.state = state
            self._link.tell(ItemStatus(item.frame.channel, state, reason, message))

    # -- values

    def snapshot(self, ask: AskSnapshot) -> None:
        """Tell the newest value of a channel, after all that was sent of it."""
        self._sender.sweep()
        item = self._items.get(ask.channel)
        payload = b"" if item is None else self._latest(item, ask.levels)
        self._link.tell(Snapshot(ask.id, ask.channel, self._sender.sequence, payload))

    def _latest(self, item: Item, levels: int) -> bytes:
        channel = channel_of(item.frame)
        track = self._player.find(item.series)
        if item.bar_type is not None:
            buffer = self._sender.find(item.frame.channel)
            latest = None if buffer is None else buffer.latest
            return b"" if latest is None else update(BARS, channel, latest).SerializeToString()
        if track is None:
            return b""
        if track.ladder is not None:
            return _book_update(channel, track.ladder.book, levels)
        if track.latest is None:
            return b""
        batch = batch_of(track.series, channel, track.latest)
        return updates(batch, only_last=True)[0].SerializeToString()

    def book(self, instrument_id: str) -> tuple[Book, str] | None:
        """Return an order book that is open, and the state of its channel."""
        for kind in (DELTAS, DEPTH):
            for item in self._items.values():
                if (item.frame.kind, item.frame.instrument_id) == (kind, instrument_id):
                    return self._book(item), item.state
        return None

    def _book(self, item: Item) -> Book:
        track = self._player.find(item.series)
        if track is None:
            return Book()
        if track.ladder is not None:
            return track.ladder.book
        if track.latest is None:
            return Book()
        (depth,) = objects_of(batch_of(track.series, channel_of(item.frame), track.latest))
        return of_depth(depth)


def _unread(series: Series) -> Trouble:
    text = f"The {series.kind} data of {series.identifier} cannot be read. Import it anew."
    return Trouble(REFUSED, text)


def _book_update(channel: live.Channel, book: Book, levels: int) -> bytes:
    if not book.time:
        return b""
    made = live.MarketDataUpdate(channel=channel, order_book=order_book(book, levels))
    made.event_time.CopyFrom(to_timestamp(book.time))
    made.init_time.CopyFrom(to_timestamp(book.time))
    return made.SerializeToString()


def _series(kind: str, wanted: Wanted) -> Series:
    """Return the stored series that a channel is made of."""
    which, text = source(kind, wanted)
    if which == BARS:
        return Series(which, str(BarType.from_str(text).instrument_id), text)
    return Series(which, str(InstrumentId.from_str(text)))
