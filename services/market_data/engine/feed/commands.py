"""Commands of the service → the parts of a feed that do them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from mesh.marketdata.v1 import live_pb2 as live
from meshkit import enums
from meshkit.nautilus.definitions import definition
from services.market_data.engine.feed.books import Book, answer_book, answer_prices
from services.market_data.engine.feed.capture import Capture
from services.market_data.engine.feed.instruments import Instruments
from services.market_data.engine.feed.link import Link
from services.market_data.live import frames

log = logging.getLogger("market_data.feed")

NOT_OPEN = "CHANNEL_NOT_OPEN"
_FAILED = "The feed could not do this; its log says more."


class Channels(Protocol):
    """What commands need of a feed's channels."""

    def open(self, frame: frames.Open) -> None:
        """Open a channel; its state is told as it becomes known."""

    def close(self, number: int) -> None:
        """Close a channel; nothing of it comes after the frame that says so."""

    def snapshot(self, ask: frames.AskSnapshot) -> None:
        """Tell the newest value of a channel."""

    def book(self, instrument_id: str) -> tuple[Book, str] | None:
        """Return an order book that is open, and the state of its channel."""


class Commands:
    """Does commands one after another; what takes time is a task.

    A feed of another kind extends it with ``control``, ``history`` and ``reconnect``.
    """

    def __init__(
        self, link: Link, capture: Capture, channels: Channels, instruments: Instruments
    ) -> None:
        self._link = link
        self._capture = capture
        self._channels = channels
        self._instruments = instruments
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, commands: AsyncIterator[frames.Command]) -> None:
        """Do commands until ``Stop`` or the end of them."""
        async for command in commands:
            if isinstance(command, frames.Stop):
                return
            try:
                self.do(command)
            except Exception:  # a fault of ours must not end the data of the others
                log.exception("a command failed")
                if number := getattr(command, "id", 0):
                    self._link.tell(frames.Answer(number, b"", "VENUE_REFUSED", _FAILED))

    def do(self, command: frames.Command) -> None:
        """Do one command, or begin to."""
        match command:
            case frames.Open():
                self._channels.open(command)
            case frames.Close():
                self._channels.close(command.channel)
            case frames.AskSnapshot():
                self._channels.snapshot(command)
            case frames.AskBook():
                self._book(command)
            case frames.AskPrices():
                self._prices(command)
            case frames.AskInstruments():
                self._list(command)
            case frames.AskInstrument():
                self.begin(self._instrument(command), command.id)
            case frames.AskHistory():
                self.begin(self.history(command), command.id)
            case frames.Control():
                self.control(command)
            case frames.Reconnect():
                self.reconnect(command.cause)

    def begin(self, work: Coroutine[Any, Any, None], number: int) -> None:
        """Do work in a task; a fault of ours is answered too, never silence."""
        task = asyncio.create_task(self._guarded(work, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None], number: int) -> None:
        try:
            await work
        except Exception:
            log.exception("a command failed")
            self._link.tell(frames.Answer(number, b"", "VENUE_REFUSED", _FAILED))

    # -- for other kinds of feeds

    async def history(self, ask: frames.AskHistory) -> None:
        """Answer that there is no history to ask for."""
        text = "The feed has no history beside what it plays."
        self._link.tell(frames.Answer(ask.id, b"", "HISTORY_UNSUPPORTED", text))

    def control(self, command: frames.Control) -> None:
        """Answer that this is no replay."""
        text = "Only a replay can be paused, moved or timed."
        self._link.tell(frames.Answer(command.id, b"", "NOT_A_REPLAY", text))

    def reconnect(self, cause: str) -> None:
        """Make the connection anew: nothing, unless it is overridden."""

    # -- books

    def _book(self, ask: frames.AskBook) -> None:
        self._capture.sweep()
        found = self._channels.book(ask.instrument_id)
        if found is None:
            self._not_open(ask.id, ask.instrument_id)
            return
        book, state = found
        answer = answer_book(book, ask.levels, enums.number(live.ItemState, state))
        self._link.tell(frames.Answer(ask.id, answer.SerializeToString()))

    def _prices(self, ask: frames.AskPrices) -> None:
        self._capture.sweep()
        found = self._channels.book(ask.instrument_id)
        if found is None:
            self._not_open(ask.id, ask.instrument_id)
            return
        book, state = found
        if not all(map(_is_decimal, (ask.quantity, ask.price))):
            text = "Quantity and price are decimals, such as 1.5."
            self._link.tell(frames.Answer(ask.id, b"", "INVALID_FIELD", text))
            return
        number = enums.number(live.ItemState, state)
        answer = answer_prices(book, ask.side, ask.quantity, ask.price, number)
        self._link.tell(frames.Answer(ask.id, answer.SerializeToString()))

    def _not_open(self, number: int, instrument_id: str) -> None:
        text = (
            f"No book of {instrument_id} is open. Subscribe to ORDER_BOOK_DELTA or "
            "ORDER_BOOK_DEPTH10 first."
        )
        self._link.tell(frames.Answer(number, b"", NOT_OPEN, text))

    # -- instruments

    def _list(self, ask: frames.AskInstruments) -> None:
        found, more = self._instruments.listed(ask.text, ask.after, ask.limit)
        encoded = [each.SerializeToString() for each in found]
        self._link.tell(frames.Instruments(ask.id, encoded, more))

    async def _instrument(self, ask: frames.AskInstrument) -> None:
        found, missing = await self._instruments.find(ask.instrument_id)
        if missing is not None and missing.reason != "INSTRUMENT_NOT_AT_VENUE":
            answer = frames.Answer(
                ask.id, b"", missing.reason, missing.message, missing.retry_after
            )
            self._link.tell(answer)
            return
        encoded = [] if found is None else [definition(found).SerializeToString()]
        self._link.tell(frames.Instruments(ask.id, encoded))


def _is_decimal(text: str) -> bool:
    try:
        return not text or Decimal(text).is_finite()
    except InvalidOperation:
        return False
