"""A watch on the terminal: a live table, plain lines for pipes, JSON lines for programs."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from google.protobuf import json_format
from rich.console import Group

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.batches import Batch
from meshclient.cli.board import Board, Note, event_time, row_name
from meshclient.cli.board_view import BoardView, note_line, plain_line
from meshclient.cli.output import Output
from meshclient.cli.screen import Screen
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshclient.watching import LiveItem, Watch

PICTURE_SECONDS = 0.2
COUNT_SECONDS = 1.0
START_SECONDS = 30.0
"""How long a feed may take to start; a second or two is usual."""
LINES_CONFLATE = timedelta(seconds=1)
"""How often a channel is worth a line in a log."""
TABLE_CONFLATE = timedelta(milliseconds=100)


class LiveShow:
    """Shows subscriptions of one feed on a terminal, or in lines where there is none."""

    def __init__(self, mesh: MeshClient, out: Output, found: Sequence[pb.Subscription]) -> None:
        self._mesh = mesh
        self._out = out
        self._ids = [each.subscription_id for each in found]
        self._wanted = [item.channel for each in found for item in each.items]
        self._lossless = any(each.delivery == pb.DELIVERY_LOSSLESS for each in found)
        self._board = Board()
        self._view = BoardView(found[0].feed_id)
        self._notes: list[Note] = []
        self._end = asyncio.timeout(None)
        self._seconds: float | None = None

    async def run(self, seconds: float | None = None) -> None:
        """Show for so many seconds from the first data, or for ever."""
        show = self._table if self._out.console.is_terminal else self._lines
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds and seconds + START_SECONDS) as self._end:
                self._seconds = seconds
                await show()

    async def once(self, seconds: float) -> None:
        """Show the state as soon as every channel has data or has failed; wait no longer than
        ``seconds`` for that.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._watch() as watch:
                async for item in watch:
                    self._take(item)
                    if self._board.complete(self._wanted):
                        break
        for note in self._notes:
            self._out.console.print(note_line(note))
        room = len(self._board.rows()) + 20  # all of them: it is printed once
        view, width = BoardView(self._view.title, rates=False), self._out.console.width
        self._out.console.print(view.picture(self._board, time.monotonic(), room, width))

    def _watch(self) -> Watch:
        return self._mesh.market_data.watch(
            *self._ids, columns=self._lossless, book_levels=1, broken=self._broken
        )

    def _broken(self, fault: MeshClientError) -> None:
        self._view.notice = f"connecting again: {fault.message}"

    def _take(self, item: LiveItem) -> None:
        self._view.notice = ""
        if self._seconds and isinstance(item, pb.MarketDataUpdate | Batch):
            self._end.reschedule(asyncio.get_running_loop().time() + self._seconds)
            self._seconds = None
        if note := self._board.take(item, time.monotonic()):
            self._notes.append(note)

    async def _table(self) -> None:
        with Screen(self._out.console) as screen:
            painter = asyncio.create_task(self._paint(screen))
            counter = asyncio.create_task(self._count())
            try:
                async with self._watch() as watch:
                    async for item in watch:
                        self._take(item)
            finally:
                for task in (painter, counter):
                    task.cancel()
                await asyncio.gather(painter, counter, return_exceptions=True)
                self._picture(screen)

    async def _paint(self, screen: Screen) -> None:
        while True:
            self._picture(screen)
            await asyncio.sleep(PICTURE_SECONDS)

    def _picture(self, screen: Screen) -> None:
        """Paint the table; what happened goes above it and stays there."""
        notes, self._notes = self._notes, []
        above = Group(*map(note_line, notes)) if notes else None
        now, width = time.monotonic(), screen.console.width
        screen.paint(self._view.picture(self._board, now, screen.room, width), above)

    async def _count(self) -> None:
        """Ask for the true rates: a conflated stream does not tell them."""
        while True:
            with suppress(MeshClientError):  # a table without rates is better than none
                for each in self._ids:
                    found = await self._mesh.market_data.get(each)
                    self._board.count(found.items, time.monotonic())
            await asyncio.sleep(COUNT_SECONDS)

    async def _lines(self) -> None:
        width = max((len(row_name(channel)) for channel in self._wanted), default=0)
        async with self._watch() as watch:
            async for item in watch:
                self._take(item)
                for note in self._notes:
                    self._out.say(note_line(note).plain)
                self._notes.clear()
                if isinstance(item, pb.MarketDataUpdate | Batch):
                    row = self._board.row(item.channel)
                    self._out.say(plain_line(row, event_time(item), width))


async def print_json(watch: Watch, wanted: Sequence[pb.Channel], *, once: bool) -> None:
    """Print each item as one JSON object on a line, as REST gives it; with ``once`` no more than
    the first state of each channel.
    """
    board = Board()
    async with watch:
        async for item in watch:
            sys.stdout.write(json_line(item) + "\n")
            sys.stdout.flush()
            board.take(item, time.monotonic())
            if once and board.complete(wanted):
                return


def json_line(item: LiveItem) -> str:
    """Return an item as ``{"update": {…}}``: the name and fields of the contract."""
    message = item.message if isinstance(item, Batch) else item
    name = _NAMES[type(message).__name__]
    told = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return json.dumps({name: told}, ensure_ascii=False)


_NAMES = {
    "MarketDataSnapshot": "snapshot",
    "MarketDataUpdate": "update",
    "MarketDataBatch": "batch",
    "FeedGap": "gap",
    "SubscriptionItem": "status",
}
