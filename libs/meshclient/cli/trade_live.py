"""A watch of trading: a live table, lines for pipes, JSON lines for programs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf import json_format
from rich.console import Group

from mesh.events.v1.events_pb2 import Event
from meshclient.cli.board import Note
from meshclient.cli.board_view import note_line
from meshclient.cli.output import Output
from meshclient.cli.screen import Screen
from meshclient.cli.trade_board import TradeBoard
from meshclient.cli.trade_view import TradeView
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshclient.facts import FactWatch, Told

PICTURE_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""How often marks are asked for: the events of a position do not tell that the market moved."""
_KEPT = 500  # newest positions whose realised P&L is summed


class TradeShow:
    """Shows traders, their positions and orders as they are, and what happens to them."""

    def __init__(
        self,
        mesh: MeshClient,
        out: Output,
        trader_ids: Sequence[str],
        sections: Sequence[str],
        *,
        instrument_ids: Sequence[str] = (),
    ) -> None:
        self._mesh = mesh
        self._out = out
        self._ids = tuple(trader_ids)
        self._instruments = tuple(instrument_ids)
        self._board = TradeBoard()
        title = " ".join(self._ids) or "all traders"
        self._view = TradeView(title, sections, several=len(self._ids) != 1)
        self._notes: list[Note] = []

    async def run(self, seconds: float | None = None) -> None:
        """Show for so many seconds, or for ever."""
        show = self._table if self._out.console.is_terminal else self._lines
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await show()

    async def once(self) -> None:
        """Print the state, and end."""
        await self._load()
        room = len(self._board.orders) + len(self._board.positions) + len(self._board.traders)
        self._out.console.print(self._view.picture(self._board, room + 30, self._out.console.width))

    async def _table(self) -> None:
        with Screen(self._out.console) as screen:
            working = [self._paint(screen), self._look()]
            tasks = [asyncio.create_task(each) for each in working]
            try:
                async for told in self._facts():
                    self._take(told)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._picture(screen)

    async def _lines(self) -> None:
        async for told in self._facts():
            self._take(told)
            for note in self._notes:
                self._out.say(note_line(note).plain)
            self._notes.clear()

    def _take(self, told: Told[Any]) -> None:
        if note := self._board.take(told):
            self._notes.append(note)

    async def _facts(self) -> AsyncIterator[Told[Any]]:
        """Yield the facts of both watches. The state is read when both are attached, so that there
        is no hole between it and them.
        """
        async with (
            self._mesh.traders.watch(*self._ids, broken=self._broken) as traders,
            self._mesh.orders.watch(
                *self._ids, instrument_ids=self._instruments, broken=self._broken
            ) as orders,
        ):
            await traders.attach()
            await orders.attach()
            await self._load()
            async for told in merged(traders, orders):
                self._view.notice = ""
                yield told

    def _broken(self, fault: MeshClientError) -> None:
        self._view.notice = f"connecting again: {fault.message}"

    async def _load(self) -> None:
        """Read what is now, of the traders that are meant."""
        mesh, ids = self._mesh, self._ids or ("",)
        traders = [await mesh.traders.get(each) for each in self._ids]
        self._board.load(traders=traders or await mesh.traders.list())
        for each in ids:
            self._board.load(
                orders=await mesh.orders.list(each, open_only=True),
                positions=await mesh.orders.positions(each, limit=_KEPT),
                accounts=await mesh.orders.accounts(each),
            )
        await self._marks()

    async def _marks(self) -> None:
        for each in self._ids or ("",):
            self._board.load(positions=await self._mesh.orders.positions(each, open_only=True))

    async def _look(self) -> None:
        """Read the open positions again and again, for their unrealised P&L."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(MeshClientError):  # a table whose P&L stands is better than none
                await self._marks()

    async def _paint(self, screen: Screen) -> None:
        while True:
            self._picture(screen)
            await asyncio.sleep(PICTURE_SECONDS)

    def _picture(self, screen: Screen) -> None:
        """Paint the tables; what happened goes above them and stays there."""
        notes, self._notes = self._notes, []
        above = Group(*map(note_line, notes)) if notes else None
        screen.paint(self._view.picture(self._board, screen.room, screen.console.width), above)


async def merged(*watches: FactWatch[Any]) -> AsyncIterator[Told[Any]]:
    """Yield what each of the watches yields, as it comes; ends or raises with the first."""
    waiting = {asyncio.ensure_future(anext(each)): each for each in watches}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                watch = waiting.pop(task)
                yield task.result()
                waiting[asyncio.ensure_future(anext(watch))] = watch
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def print_events(watch: FactWatch[Any]) -> None:
    """Print each event as one JSON object on a line, as REST gives it."""
    async with watch:
        async for told in watch:
            sys.stdout.write(event_line(told.event) + "\n")
            sys.stdout.flush()


def event_line(event: Event) -> str:
    """Return an event as JSON with the names of the contract; ``payload.@type`` says what it is."""
    return json.dumps(
        json_format.MessageToDict(event, preserving_proto_field_name=True), ensure_ascii=False
    )
