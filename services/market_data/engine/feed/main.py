"""The process of one feed: a Nautilus data client, and frames over a socket to the service."""

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys

import uvloop

from meshkit.nautilus.venues.building import Built, build
from services.market_data.engine.feed.capture import Capture
from services.market_data.engine.feed.channels import Channels
from services.market_data.engine.feed.commands import Commands
from services.market_data.engine.feed.connection import Connection
from services.market_data.engine.feed.instruments import Instruments
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.node import FeedNode
from services.market_data.engine.feed.requests import History, Requests
from services.market_data.engine.feed.troubles import Trouble
from services.market_data.live import frames
from services.market_data.live.ports import FeedSpec

log = logging.getLogger("market_data.feed")

GENERATIONS = (50_000, 50, 100)
"""Thresholds of the garbage collector: ticks make no cycles, and a full look takes long."""

PULSE = 1.0
"""Seconds between signs of life."""

REFUSED = 3
"""Return code of a process whose venue or config was refused; it has said so."""


class FeedCommands(Commands):
    """Commands of a feed of a venue."""

    def attach(self, connection: Connection, history: History) -> None:
        """Add the parts that talk to the venue."""
        self._connection = connection
        self._history = history

    async def history(self, ask: frames.AskHistory) -> None:
        """Ask the venue."""
        await self._history.answer(ask)

    def reconnect(self, cause: str) -> None:
        """Make the connection to the venue anew."""
        self._connection.reconnect(cause)


def run(connected: socket.socket, spec: FeedSpec) -> int:
    """Run a feed until the service stops it or is gone; return the process's code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_feed(connected, spec))


async def _feed(connected: socket.socket, spec: FeedSpec) -> int:
    reader, writer = await asyncio.open_unix_connection(sock=connected, limit=2**20)
    link = Link(writer)
    try:
        built = _built(spec)
        if isinstance(built, Trouble):
            link.tell(frames.State("FAILED", built.reason, built.message))
            return REFUSED
        await _serve(built, spec, reader, link)
    finally:
        await link.close()
    return 0


def _built(spec: FeedSpec) -> Built | Trouble:
    """Return the venue's adapter with its config, or why there is none."""
    try:
        return build(spec.venue, json.loads(spec.config_json or "{}"), environ=os.environ)
    except Exception as error:  # of the mesh, with its reason, or of an adapter of anybody
        log.exception("the adapter could not be built")
        reason = getattr(error, "reason", "") or "VENUE_REFUSED"
        text = str(error) if hasattr(error, "reason") else "The adapter refuses its config."
        return Trouble(reason, text)


async def _serve(built: Built, spec: FeedSpec, reader: asyncio.StreamReader, link: Link) -> None:
    loop = asyncio.get_running_loop()
    node = FeedNode(built, loop)
    own_signals(loop)
    capture = Capture(link, loop)
    requests = Requests(node)
    instruments = Instruments(node.cache, requests.ask)
    channels = Channels(node, capture, link, instruments, lambda failed: connection.broken(failed))
    connection = Connection(node, capture, channels, link, spec.silence_s)
    commands = FeedCommands(link, capture, channels, instruments)
    commands.attach(connection, History(requests, instruments, link))
    node.start(capture.wake, connection.not_taken)
    settle_memory()
    work = [
        loop.create_task(connection.run()),
        loop.create_task(beat(link, capture)),
        loop.create_task(commands.run(frames.read(reader, frames.commands))),
    ]
    await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    for task in work:
        task.cancel()
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a part of the feed ended", exc_info=outcome)
    capture.sweep()
    await node.drop_client()


def own_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Take the signals back that a node took: they end the process, as the service expects."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


def settle_memory() -> None:
    """Keep the collector off what was loaded, and off short rounds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GENERATIONS)


async def beat(link: Link, capture: Capture) -> None:
    """Tell a sign of life each second."""
    while True:
        used = resource.getrusage(resource.RUSAGE_SELF)
        link.tell(frames.Pulse(used.ru_utime + used.ru_stime, capture.received))
        await asyncio.sleep(PULSE)
