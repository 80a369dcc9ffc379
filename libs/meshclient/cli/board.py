"""What a live table shows: newest prices, their directions, rates and ages. Pure; no printing."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_BAR
from meshclient.batches import LEVELS, Batch
from meshclient.channels import NAMES, channel_text
from meshclient.watching import LiveItem

_WINDOW = 3.0  # seconds over which a rate is counted
# What makes a row of its own, beside the row of the instrument's quotes, trades and book.
_OWN_ROW = {"mark-prices": "mark", "index-prices": "index", "funding-rates": "funding"}
_LAST = ("close", "price", "value", "rate")  # columns that are shown as the last price
_WORST = (
    pb.ITEM_STATE_FAILED,
    pb.ITEM_STATE_STALE,
    pb.ITEM_STATE_PENDING,
    pb.ITEM_STATE_LIVE,
)


@dataclass
class Cell:
    """A price: its text, whether it last went up (1) or down (-1), and when that was."""

    text: str = ""
    direction: int = 0
    changed: float = 0.0

    def put(self, value: str, now: float) -> None:
        """Take a new value."""
        if value == self.text:
            return
        if self.text and value:
            self.direction, self.changed = _direction(self.text, value), now
        self.text = value


@dataclass
class Row:
    """A line of the table. Times are seconds of one steady clock; ``updated`` None: no data yet."""

    name: str
    bid: Cell = field(default_factory=Cell)
    ask: Cell = field(default_factory=Cell)
    last: Cell = field(default_factory=Cell)
    decimals: int = 0
    updated: float | None = None
    states: dict[str, pb.SubscriptionItem] = field(default_factory=dict)
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    counted: dict[str, tuple[float, int]] = field(default_factory=dict)
    told_rates: dict[str, float] = field(default_factory=dict)

    def item(self) -> pb.SubscriptionItem:
        """Return the item whose state is the worst."""
        items = sorted(self.states.values(), key=lambda each: _WORST.index(each.state))
        return items[0] if items else pb.SubscriptionItem(state=pb.ITEM_STATE_PENDING)

    def rate(self, now: float) -> float:
        """Return rows a second: as the service counts them, or as they came here."""
        if self.told_rates:
            return sum(self.told_rates.values())
        while self.seen and self.seen[0][0] < now - _WINDOW:
            self.seen.popleft()
        return sum(count for _, count in self.seen) / _WINDOW

    def prices(self) -> tuple[str, str, str]:
        """Return the texts of its prices."""
        return self.bid.text, self.ask.text, self.last.text

    def shown(self, name: str) -> str:
        """Return a price without the zeros that no price of the row has needed so far."""
        whole, dot, decimals = getattr(self, name).text.partition(".")
        texts = [text.partition(".")[2].rstrip("0") for text in self.prices()]
        self.decimals = max(self.decimals, *map(len, texts))
        return whole + dot + decimals[: self.decimals] if self.decimals else str(whole)

    def forget_book(self, now: float) -> None:
        """Show no bid and ask: single changes of a book came after it, and are not applied here."""
        if not any(name.endswith(":quotes") for name in self.states):
            self.bid.put("", now)
            self.ask.put("", now)

    def age(self, now: float) -> float | None:
        """Return the seconds since the newest data; None before the first."""
        return None if self.updated is None else max(0.0, now - self.updated)


@dataclass(frozen=True)
class Note:
    """Something worth a line of its own; ``style`` is ``gap``, ``failed`` or ``mended``."""

    style: str
    text: str


class Board:
    """Takes items as they come, gives rows by name."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._stale = ""
        self.event_time = 0
        """Newest time of an event, unix nanoseconds: the data's own clock."""

    def rows(self) -> list[Row]:
        """Return the rows in the order of their first item."""
        return list(self._rows.values())

    def complete(self, expected: Iterable[pb.Channel]) -> bool:
        """Whether each channel has data or has failed."""
        for channel in expected:
            row = self._rows.get(row_name(channel))
            state = row.states.get(channel_text(channel)) if row else None
            if row is None or (row.updated is None and not _failed(state)):
                return False
        return True

    def take(self, item: LiveItem, now: float) -> Note | None:
        """Take an item; return what is worth a line of its own."""
        match item:
            case pb.MarketDataSnapshot():
                note = self._state(item.item)
                if item.HasField("latest"):
                    self._update(item.latest, now, rows=0)
                return note
            case pb.MarketDataUpdate():
                self._update(item, now)
            case Batch():
                self._batch(item, now)
            case pb.FeedGap():
                return Note("gap", gap_text(item))
            case pb.SubscriptionItem():
                return self._state(item)
        return None

    def count(self, items: Iterable[pb.SubscriptionItem], now: float) -> None:
        """Take the service's own counts of rows, from which rates are made."""
        for item in items:
            row, name = self.row(item.channel), channel_text(item.channel)
            then, rows = row.counted.get(name, (now, item.rows))
            row.counted[name] = (now, item.rows)
            if now > then and item.rows >= rows:
                row.told_rates[name] = (item.rows - rows) / (now - then)

    def row(self, channel: pb.Channel) -> Row:
        """Return the row of a channel, made when it is new."""
        name = row_name(channel)
        if name not in self._rows:
            self._rows[name] = Row(name)
        return self._rows[name]

    def _state(self, item: pb.SubscriptionItem) -> Note | None:
        row, name = self.row(item.channel), channel_text(item.channel)
        before = row.states.get(name)
        row.states[name] = item
        if before is not None and before.state == item.state:
            return None
        if _failed(item):
            return Note("failed", f"{name}  {item.reason}: {item.message}")
        return self._staleness(item)

    def _staleness(self, item: pb.SubscriptionItem) -> Note | None:
        """Return a note when the first item goes stale, and when none is any more: a lost
        connection concerns many items, and is one piece of news.
        """
        if item.state == pb.ITEM_STATE_STALE and self._stale != item.message:
            self._stale = item.message
            return Note("gap", f"stale: {item.message or 'no connection'}")
        states = (each.state for row in self._rows.values() for each in row.states.values())
        if self._stale and pb.ITEM_STATE_STALE not in states:
            self._stale = ""
            return Note("mended", "live again")
        return None

    def _update(self, update: pb.MarketDataUpdate, now: float, rows: int = 1) -> None:
        row = self.row(update.channel)
        before = row.prices()
        match update.WhichOneof("data"):
            case "quote":
                row.bid.put(update.quote.bid_price, now)
                row.ask.put(update.quote.ask_price, now)
            case "order_book":
                row.bid.put(_best(update.order_book.bids), now)
                row.ask.put(_best(update.order_book.asks), now)
            case "trade":
                row.last.put(update.trade.price, now)
            case "bar":
                row.last.put(update.bar.close, now)
            case "price":
                row.last.put(update.price.value, now)
            case "funding_rate":
                row.last.put(update.funding_rate.rate, now)
            case "delta":
                row.forget_book(now)
        # A snapshot says what is newest, not that it came now: only what differs is news.
        if rows or row.updated is None or row.prices() != before:
            self._touch(row, now, rows)
        self.event_time = max(self.event_time, event_time(update))

    def _batch(self, batch: Batch, now: float) -> None:
        row, last = self.row(batch.channel), batch.rows - 1
        if batch.kind == "deltas":
            row.forget_book(now)
        else:
            cells = {"bid_price": row.bid, "ask_price": row.ask} | dict.fromkeys(_LAST, row.last)
            for name in cells.keys() & set(batch.names):
                best = last * LEVELS if batch.kind == "depths" else last
                cells[name].put(_value(batch, name, best), now)
        self._touch(row, now, batch.rows)
        self.event_time = max(self.event_time, event_time(batch))

    def _touch(self, row: Row, now: float, rows: int) -> None:
        row.updated = now
        if rows:
            row.seen.append((now, rows))


def event_time(item: pb.MarketDataUpdate | Batch) -> int:
    """Return the time of an update, or of the last row of a batch, in unix nanoseconds."""
    if isinstance(item, Batch):
        return int(item.column("ts_event")[item.rows - 1].as_py())
    return item.event_time.ToNanoseconds()


def row_name(channel: pb.Channel) -> str:
    """Return the name of the row that a channel belongs to."""
    if channel.kind == DATA_KIND_BAR:
        return channel.bar_type
    own = _OWN_ROW.get(NAMES.get(channel.kind, ""))
    return f"{channel.instrument_id} {own}" if own else channel.instrument_id


def gap_text(gap: pb.FeedGap) -> str:
    """Return a gap in words: cause, place, length."""
    cause = pb.GapCause.Name(gap.cause).removeprefix("GAP_CAUSE_").lower().replace("_", " ")
    where = f" in {channel_text(gap.channel)}" if gap.HasField("channel") else ""
    span = ""
    if gap.HasField("from") and gap.HasField("to"):
        start: int = getattr(gap, "from").ToNanoseconds()
        span = f", {(gap.to.ToNanoseconds() - start) / 1e9:,.1f} s"
    return f"gap{where}: {cause}{span}" + (f" ({gap.message})" if gap.message else "")


def _direction(before: str, after: str) -> int:
    try:
        old, new = Decimal(before), Decimal(after)
    except InvalidOperation:
        return 0
    return (new > old) - (new < old)


def _best(levels: Sequence[pb.BookLevel]) -> str:
    return levels[0].price if levels else ""


def _value(batch: Batch, name: str, index: int) -> str:
    precision = batch.precision(name)
    value = batch.column(name)[index].as_py()
    return str(value) if precision is None else f"{Decimal(value).scaleb(-precision):f}"


def _failed(item: pb.SubscriptionItem | None) -> bool:
    return item is not None and item.state == pb.ITEM_STATE_FAILED
