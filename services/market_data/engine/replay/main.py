"""The process of a replay: stored data, and frames over a socket to the service."""

import asyncio
import json
import logging
import resource
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvloop
from nautilus_trader.cache.cache import Cache

from meshkit.errors import InvalidArgument
from services.market_data.engine.feed.commands import Commands
from services.market_data.engine.feed.instruments import Instruments
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.main import PULSE, REFUSED, beat, settle_memory
from services.market_data.engine.replay.bars import Bars
from services.market_data.engine.replay.channels import ReplayChannels
from services.market_data.engine.replay.history import History
from services.market_data.engine.replay.instruments import StoredInstruments
from services.market_data.engine.replay.player import Player
from services.market_data.engine.replay.sender import Sender
from services.market_data.engine.replay.span import Span
from services.market_data.engine.replay.stored import Stored
from services.market_data.live import frames
from services.market_data.live.ports import FeedSpec
from services.market_data.live.replay_config import MAX_SPEED, ReplayConfig, parse_replay

log = logging.getLogger("market_data.feed")

UNREAD = 2**20
"""Bytes that wait for the service to read before the replay waits for it."""


class ReplayCommands(Commands):
    """Commands of a replay."""

    def attach(self, player: Player, history: History, instruments: StoredInstruments) -> None:
        """Add the parts that a feed of a venue has not."""
        self._player, self._history, self._stored = player, history, instruments

    async def history(self, ask: frames.AskHistory) -> None:
        """Answer from the catalog."""
        await self._history.answer(ask)

    def control(self, command: frames.Control) -> None:
        """Do what a replay can be told."""
        refused = self._refused(command)
        if refused:
            self._link.tell(frames.Answer(command.id, b"", "INVALID_FIELD", refused))
        elif command.action == "seek":
            self.begin(self._seek(command), command.id)
        else:
            if command.action == "speed":
                self._player.set_speed(command.speed)
            else:
                self._player.pause(command.action == "pause")
            self._link.tell(frames.Answer(command.id))

    def _refused(self, command: frames.Control) -> str:
        if command.action == "speed" and not 0 <= command.speed <= MAX_SPEED:
            return f"A speed is a number from 0 to {MAX_SPEED}."
        if command.action not in ("seek", "speed", "pause", "resume"):
            return f"A replay cannot {command.action}."
        return ""

    async def _seek(self, command: frames.Control) -> None:
        await self._player.look()
        span = self._player.span
        if not span.start <= command.position <= span.end:
            text = "It lies outside the range of the replay, which GetFeed shows."
            self._link.tell(frames.Answer(command.id, b"", "INVALID_FIELD", text))
            return
        await self._player.seek(command.position)
        self._link.tell(frames.Answer(command.id))

    def _list(self, ask: frames.AskInstruments) -> None:
        self.begin(self._load_and_list(ask), ask.id)

    async def _load_and_list(self, ask: frames.AskInstruments) -> None:
        self._instruments.add(await self._stored.all())
        super()._list(ask)


def run(connected: socket.socket, spec: FeedSpec) -> int:
    """Run a replay until the service stops it or is gone; return the process's code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_replay(connected, spec))


async def _replay(connected: socket.socket, spec: FeedSpec) -> int:
    reader, writer = await asyncio.open_unix_connection(sock=connected, limit=2**20)
    writer.transport.set_write_buffer_limits(high=UNREAD)
    link = Link(writer)
    try:
        config = parse_replay(json.loads(spec.config_json or "{}"))
    except InvalidArgument as error:
        link.tell(frames.State("FAILED", error.reason, str(error)))
        await link.close()
        return REFUSED
    try:
        await _serve(config, spec, reader, link)
    finally:
        await link.close()
    return 0


async def _serve(
    config: ReplayConfig, spec: FeedSpec, reader: asyncio.StreamReader, link: Link
) -> None:
    loop = asyncio.get_running_loop()
    _allow_files()
    link.tell(frames.State("CONNECTING"))
    stored = Stored(Path(spec.catalog))
    span = Span(stored, config)
    sender, bars = Sender(link, loop), Bars(loop)
    player = Player(stored, sender, link, bars, span)
    found = StoredInstruments(Path(spec.catalog), span)
    instruments = Instruments(Cache(), found.ask)
    channels = ReplayChannels(player, sender, link, bars, instruments)
    commands = ReplayCommands(link, sender, channels, instruments)
    commands.attach(player, History(stored, player, link), found)
    await span.look()
    _begin(player, config, spec)
    settle_memory()
    link.tell(frames.State("CONNECTED"))
    player.tell()
    work = (player.run(), channels.run(), beat(link, sender), _tell_position(player))
    await _until_over([*work, commands.run(frames.read(reader, frames.commands))])
    sender.sweep()


def _begin(player: Player, config: ReplayConfig, spec: FeedSpec) -> None:
    player.loop = config.loop
    player.paused = config.paused if spec.paused is None else spec.paused
    player.speed = config.speed if spec.speed is None else spec.speed
    player.begin(spec.position)


async def _until_over(work: list[object]) -> None:
    """Run all parts until the first ends, in order or not."""
    tasks = [asyncio.ensure_future(each) for each in work]  # type: ignore[call-overload]  # coroutines
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a part of the replay ended", exc_info=outcome)


async def _tell_position(player: Player) -> None:
    """Tell the position once a second while it moves."""
    told = player.position
    while True:
        await asyncio.sleep(PULSE)
        if player.position != told:
            told = player.position
            player.tell()


def _allow_files() -> None:
    """Let as many files be open as the system allows: each series holds its own."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
