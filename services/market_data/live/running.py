"""The process of a feed: started when it is needed, ended when it is not, started again when it
dies.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from math import inf

from meshkit import context
from meshkit.link import wait
from services.market_data.live import frames
from services.market_data.live.errors import FeedUnavailable
from services.market_data.live.feed import CONNECTING, DISCONNECTED, FAILED, IDLE, LiveFeed
from services.market_data.live.ports import FeedSpec, Process, Starter
from services.market_data.live.settings import Settings

log = logging.getLogger("market_data.feeds")

LATE = 0.5
"""Seconds before a caller's deadline at which it is told that it waits in vain."""

TURN = 0.001
"""Seconds for watchers after a burst: what waits in the socket is read no faster than they can."""

LOOK = 0.5
"""Seconds between looks at whether a process is needed and gives signs of life."""


class FeedRunner:
    """Keeps the process of one feed; ``spec`` says what to start it with."""

    def __init__(
        self, live: LiveFeed, start: Starter, spec: Callable[[], FeedSpec], settings: Settings
    ) -> None:
        self.live = live
        self._start, self._spec, self._settings = start, spec, settings
        self._task: asyncio.Task[None] | None = None
        self._nudge = asyncio.Event()
        self._waiting = 0
        self._restart = self._closed = False
        self._used = self._heard = 0.0
        self._born = False

    def need(self) -> None:
        """Start the process unless it runs; called when a channel is opened."""
        self._used = asyncio.get_running_loop().time()
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name=f"feed {self.live.feed.feed_id}")

    async def connected(self) -> None:
        """Start the process when there is none, and wait for the venue.

        Raises ``FeedUnavailable`` when it takes too long, before the caller's deadline, or when
        the feed says that it cannot.
        """
        now = asyncio.get_running_loop().time
        ends = min(now() + self._settings.patience, (context.deadline() or inf) - LATE)
        self.need()
        self._waiting += 1
        try:
            while not self.live.connected.is_set():
                news = self.live.news
                if self.live.status.state == FAILED or now() >= ends:
                    raise self.unavailable()
                await wait(news, ends - now())
        finally:
            self._waiting -= 1
            self._used = asyncio.get_running_loop().time()

    def unavailable(self) -> FeedUnavailable:
        """Return the error that the feed is not connected."""
        feed, status = self.live.feed, self.live.status
        why = f": {status.message}" if status.message else ""
        return FeedUnavailable(
            f"The feed '{feed.feed_id}' is {status.state}{why}. Try again, or look at GetFeed.",
            metadata={"feed_id": feed.feed_id, "state": status.state},
            retry_after=1.0,
        )

    def restart(self) -> None:
        """End the process and start it anew at once, without its back-off."""
        self._restart = True
        self._nudge.set()

    async def close(self) -> None:
        """End the process for good."""
        self._closed = True
        self._nudge.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    # ---- its life ------------------------------------------------------------------------------

    async def _run(self) -> None:
        failures = 0
        while self._is_needed():
            began = asyncio.get_running_loop().time()
            if await self._live():
                failures = 0
                continue
            lasted = asyncio.get_running_loop().time() - began
            failures = 1 if lasted >= self._settings.healthy else failures + 1
            if self._is_needed():
                await self._rest(failures)
        if self.live.status.state != IDLE:
            self.live.set_state(IDLE)

    def _is_needed(self) -> bool:
        if self._closed:
            return False
        if self.live.channels or self.live.asking or self._waiting:
            self._used = asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - self._used <= self._settings.idle

    async def _rest(self, failures: int) -> None:
        longest = self._settings.longest_back_off
        pause = min(longest, self._settings.back_off * 2.0 ** min(failures - 1, 10))
        self._nudge.clear()
        await wait(self._nudge, pause * random.uniform(0.5, 1.0))  # feeds do not come in step

    async def _live(self) -> bool:
        """Start the process and follow it to its end; whether that was as it should be."""
        self._restart = False
        self._nudge.clear()
        old = self.live.status
        self.live.set_state(CONNECTING, old.reason, old.message)
        spec = self._spec()
        try:
            process, reader, writer = await self._start(spec)
        except Exception:
            log.exception("a feed's process cannot be started", extra=self._about())
            self._ended("FEED_CRASHED", "Its process cannot be started; the log says why.")
            return False
        self._heard, self._born = asyncio.get_running_loop().time(), False
        self.live.begin(lambda command: writer.write(frames.encode(command)))
        self._catch_up(spec)
        reading = asyncio.create_task(self._read(reader), name="frames of a feed")
        reading.add_done_callback(lambda _: self._nudge.set())
        try:
            why = await self._follow(reading)
        finally:
            code = await self._stop(process, reading, writer)
        self._tell_end(why, code)
        return not why

    def _catch_up(self, spec: FeedSpec) -> None:
        """Tell a replay's process what was wished for while it was being started."""
        now = self._spec()
        if now.paused is not None and now.paused != spec.paused:
            self.live.send(frames.Control(0, "pause" if now.paused else "resume"))
        if now.speed is not None and now.speed != spec.speed:
            self.live.send(frames.Control(0, "speed", speed=now.speed))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for frame in frames.read(reader, frames.told):
                self._heard, self._born = loop.time(), True
                hurry = self.live.hurry
                self.live.told(frame)
                if hurry is not self.live.hurry:
                    await asyncio.sleep(TURN)
        except Exception:  # what is no frame, or a bug: the process is started anew
            log.exception("a frame cannot be taken", extra=self._about())

    async def _follow(self, reading: asyncio.Task[None]) -> str:
        """Wait until the process ends or shall end; returns why: empty when it was told to."""
        while True:
            await wait(self._nudge, LOOK)
            self._nudge.clear()
            if reading.done():
                return "It ended by itself"
            if self._restart or not self._is_needed():
                return ""
            if self._hangs():
                silent = asyncio.get_running_loop().time() - self._heard
                return f"It gave no sign of life for {silent:.0f} s and was killed"

    def _hangs(self) -> bool:
        longest = self._settings.hang if self._born else self._settings.birth
        return asyncio.get_running_loop().time() - self._heard > longest

    async def _stop(
        self, process: Process, reading: asyncio.Task[None], writer: asyncio.StreamWriter
    ) -> int:
        """End the process, in order if it can, and read what it said to its last word."""
        ending = asyncio.create_task(process.wait())
        try:
            hung = self._hangs()
            if not reading.done() and not hung:
                with suppress(OSError, RuntimeError):
                    writer.write(frames.encode(frames.Stop()))
                await asyncio.wait([ending], timeout=self._settings.stop)
            elif not hung:
                await asyncio.wait([ending], timeout=1.0)
        finally:
            with suppress(ProcessLookupError):  # it may end at this very moment
                process.kill() if not ending.done() else None
            code = await ending
            await asyncio.wait([reading], timeout=self._settings.stop)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            writer.close()
        return code

    def _tell_end(self, why: str, code: int) -> None:
        if why:
            log.warning("a feed's process ended", extra={**self._about(), "code": code, "why": why})
            self._ended("FEED_CRASHED", f"Its process ended with code {code}. {why}.")
        elif self._restart:
            self._ended("", "It is started anew, as was asked for.")
        else:
            self.live.end(IDLE, "", "", self.unavailable())

    def _ended(self, reason: str, message: str) -> None:
        status = self.live.status
        if reason and status.state == FAILED:  # it said itself why it cannot go on
            self.live.end(FAILED, status.reason, status.message, self.unavailable())
        else:
            self.live.end(DISCONNECTED, reason, message, self.unavailable())

    def _about(self) -> dict[str, str]:
        feed = self.live.feed
        return {"project": feed.project, "feed": feed.feed_id, "venue": feed.venue}
