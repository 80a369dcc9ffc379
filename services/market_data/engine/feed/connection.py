"""The connection to the venue: made with back-off, watched, and made anew when it is silent."""

import asyncio
import gc
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from services.market_data.engine.feed.adapters import mend
from services.market_data.engine.feed.capture import Capture
from services.market_data.engine.feed.channels import Channels
from services.market_data.engine.feed.hooks import listen, watch
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.node import FeedNode
from services.market_data.engine.feed.sockets import Sockets
from services.market_data.engine.feed.subscribing import COROUTINES
from services.market_data.engine.feed.troubles import RATE_LIMITED, UNREACHABLE, Trouble
from services.market_data.live.frames import State

log = logging.getLogger("market_data.feed")

LOOK = 0.05
"""Seconds between two looks at the sockets: a drop shows for 0.2 s at least."""

FIRST, LONGEST = 1.0, 30.0
"""Seconds between attempts to connect."""

STEADY = 60.0
"""Seconds of connection after which the next attempt is soon again."""

ATTEMPT = 60.0
"""Seconds for one attempt: it loads the venue's instruments."""

CUT = 1.0
"""Seconds for a cut connection to show."""

DISCONNECTED, SILENT = "VENUE_DISCONNECTED", "VENUE_SILENT"


class Connection:
    """Connects the node's client, tells its state, and connects it again."""

    def __init__(
        self, node: FeedNode, capture: Capture, channels: Channels, link: Link, silence: float
    ) -> None:
        self._node = node
        self._capture = capture
        self._channels = channels
        self._link = link
        self._silence = silence
        self._sockets = Sockets()
        self._up = False
        self._cause = ""  # of being down after having been up
        self._since = 0  # newest data when it went down, unix ns
        self._gap_told = False
        self._cut = 0.0  # when the sockets were cut, until that shows
        self._wait = FIRST
        self._connected_at = 0.0
        self._heard = time.monotonic()
        self._rows = 0
        self._broken: Trouble | None = None
        self._hurry = asyncio.Event()
        self._unread = Throttle(node.loop, self._tell_unread)
        capture.before_sweep = self._before_data

    async def run(self) -> None:
        """Keep the feed connected; ends only when it is cancelled."""
        self._link.tell(State("CONNECTING"))
        while True:
            await self._connect()
            broken = await self._watch()
            self._wait = FIRST if time.monotonic() - self._connected_at > STEADY else self._wait
            log.warning("the client is made anew: %s", broken.message)
            await self._pause(0.0 if self._cause == SILENT else broken.retry_after)
            await self._node.renew()

    # -- connecting

    async def _connect(self) -> None:
        """Connect, trying as often as it takes."""
        while (failed := await self._attempt()) is not None:
            self._link.tell(State("FAILED", failed.reason, failed.message))
            await self._pause(failed.retry_after)
            await self._node.renew()
        self._sockets.forget()
        self._sockets.active(self._node.client)  # known now: a drop may come before the first look
        self._broken = None
        self._connected_at = time.monotonic()
        gc.freeze()  # a venue's instruments are thousands, and stay
        self._channels.renewed()
        self._come_up()

    async def _pause(self, least: float) -> None:
        """Wait for the next attempt, longer each time, until somebody asks for it."""
        seconds = max(self._wait * random.uniform(0.9, 1.1), least)
        self._wait = min(LONGEST, self._wait * 2)
        self._hurry.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _attempt(self) -> Trouble | None:
        """Connect the client once; return what went wrong."""
        client = self._node.client
        outcome: asyncio.Future[Trouble | None] = self._node.loop.create_future()
        self._hook(client, outcome)
        client.connect()
        try:
            async with asyncio.timeout(ATTEMPT):
                failed = await outcome
        except TimeoutError:
            return Trouble(UNREACHABLE, f"The venue did not answer within {ATTEMPT:g} s.")
        if failed is not None and failed.reason != RATE_LIMITED:
            return Trouble(UNREACHABLE, failed.message, failed.retry_after)
        if failed is None and self._node.built.loads_all and not await self._has_instruments():
            return Trouble(UNREACHABLE, "The venue gave no instruments.")
        return failed

    def _hook(self, client: Any, outcome: "asyncio.Future[Trouble | None]") -> None:
        def connected(_: Any, failed: Trouble | None) -> None:
            if not outcome.done():
                outcome.set_result(failed)

        mend(client, self._reconnected)
        listen(client, self._unread)
        watch(client, "_connect", connected)
        for name in COROUTINES.values():
            watch(client, name, self._channels.outcome)

    async def _has_instruments(self) -> bool:
        await asyncio.sleep(0)  # the end of the client's own task
        return bool(self._node.cache.instrument_ids())

    def _come_up(self) -> None:
        """Tell that data comes again, and where some may be missing."""
        self._up = True
        self._sockets.settle()
        self._heard = time.monotonic()
        self._link.tell(State("CONNECTED"))
        if self._cause and not self._gap_told:
            self._tell_gap()
        self._cause = ""
        self._gap_told = False
        self._channels.connected()

    def _tell_gap(self) -> None:
        self._capture.gap(self._cause, -1, self._since, time.time_ns(), _WORDS[self._cause])

    def _go_down(self, cause: str) -> None:
        """Tell that the connection is lost."""
        self._up = False
        self._cause = cause
        self._since = self._capture.last
        self._link.tell(State("DISCONNECTED", cause, _WORDS[cause]))
        self._channels.disconnected(cause, _WORDS[cause])

    # -- watching

    async def _watch(self) -> Trouble:
        """Look at the connection until the client has to be made anew; return why."""
        while self._broken is None:
            await asyncio.sleep(LOOK)
            self._look()
            self._listen()
        if self._up:
            self._go_down(DISCONNECTED)
        return self._broken

    def _before_data(self) -> None:
        """Tell that the connection is back before what came over it is sent."""
        if not self._up or self._sockets.dropped:
            self._look()

    def _look(self) -> None:
        """Tell when a socket is lost or back."""
        if self._broken is not None or not (self._up or self._cause):
            return
        active = self._sockets.active(self._node.client)
        if self._up and (self._sockets.dropped or not active):
            self._go_down(DISCONNECTED)
        if self._up:
            return
        if self._sockets.dropped or not active:
            self._cut = 0.0
        if self._sockets.gone:
            self._broken = Trouble(UNREACHABLE, _WORDS[DISCONNECTED])
        elif active and not self._cut:
            self._come_up()
        elif active and time.monotonic() - self._cut > CUT:
            self._cut = 0.0
            self._broken = Trouble(UNREACHABLE, "The connection could not be cut.")

    def _reconnected(self) -> None:
        """Take an adapter's word that a socket is back, before what comes over it."""
        self._cut = 0.0
        if self._up:
            self._go_down(DISCONNECTED)
        if self._cause:
            self._tell_gap()
            self._gap_told = True

    def _listen(self) -> None:
        """Make the connection anew when nothing has come for too long."""
        now = time.monotonic()
        if self._capture.received != self._rows or not self._channels.lively or not self._up:
            self._rows, self._heard = self._capture.received, now
        elif self._silence and now - self._heard > self._silence:
            self.reconnect(SILENT)

    def reconnect(self, cause: str) -> None:
        """Make the connection anew: by cutting its sockets, else with a new client."""
        self._hurry.set()
        if not self._up:
            return
        known = cause if cause in _WORDS else DISCONNECTED
        self._capture.sweep()
        self._go_down(known)
        if self._sockets.cut(self._node.client):
            self._cut = time.monotonic()
        else:
            self._broken = Trouble(UNREACHABLE, _WORDS[known])

    def broken(self, failed: Trouble) -> None:
        """Take note that a subscription could not reach the venue."""
        self._broken = self._broken or failed

    def not_taken(self, error: Exception) -> None:
        """Take note of data that the engine could not handle."""
        log.error("data that the engine cannot take", exc_info=error)
        self._unread()

    def _tell_unread(self) -> None:
        self._capture.sweep()
        self._capture.gap("MALFORMED_DATA", message="The venue sent what could not be read.")


_WORDS = {
    DISCONNECTED: "The connection to the venue was lost; it is made again.",
    SILENT: "The venue sent nothing for the silence timeout; the connection is made again.",
}


class Throttle:
    """Calls a function when asked to: at once, and then once a second at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
        self._loop = loop
        self._function = function
        self._resting = False
        self._asked = False

    def __call__(self) -> None:
        """Ask for a call."""
        if self._resting:
            self._asked = True
            return
        self._resting = True
        self._loop.call_later(1.0, self._rested)
        self._function()

    def _rested(self) -> None:
        self._resting = False
        if self._asked:
            self._asked = False
            self()
