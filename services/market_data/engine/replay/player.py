"""Plays the open series in one order of time, at a pace.

Time is cut into windows. Of a window the rows of each channel are sent as one batch (at most 500
rows), channels in the order of their opening; no window begins within a nanosecond, and none has a
row that is earlier than one of the window before it. Rows go from Parquet to columns; only those
that internal bars are made of become objects, for Nautilus' data engine. The bars of a window come
after its rows.

Nothing is dropped: the service is waited for, since stored data does not go away.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from heapq import merge
from math import inf

import pyarrow as pa
from nautilus_trader.core.data import Data

from mesh.marketdata.v1 import live_pb2 as live
from meshkit.nautilus.data_time import Pace
from meshkit.nautilus.ticks import objects_of
from services.market_data.domain import FIRST, Series
from services.market_data.engine.feed.capture import LONGEST, ROWS, SHARE, SHORTEST
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.subscribing import DELTAS
from services.market_data.engine.feed.troubles import Trouble
from services.market_data.engine.replay.bars import Bars
from services.market_data.engine.replay.books import Ladder
from services.market_data.engine.replay.sender import Sender
from services.market_data.engine.replay.span import NO_DATA, Span
from services.market_data.engine.replay.stored import Rows, Stored
from services.market_data.engine.replay.track import Part, Track
from services.market_data.live.frames import ReplayPosition
from services.market_data.live.stored_columns import batch_of

log = logging.getLogger("market_data.feed")

GATHER_S = 0.05
"""Seconds to wait for more channels before time begins to run: they come one after another."""

TURN_S = 0.005
"""Seconds after which the event loop gets a turn."""

MOST, FEWEST = 50_000, 20
"""Rows of a window over all channels, unless each has so few: commands wait for its end."""

SOUGHT = "REPLAY_SOUGHT"
UNREADABLE = (OSError, pa.ArrowException)
"""What reading a damaged file raises."""


class Player:
    """``position`` is the time (unix ns) from which on rows are still to come.

    While no channel is open time stands still. ``speed`` is seconds of data in a second, 0 as fast
    as the service reads.
    """

    def __init__(self, stored: Stored, sender: Sender, link: Link, bars: Bars, span: Span) -> None:
        self._stored, self._sender, self._link = stored, sender, link
        self._bars, self.span = bars, span
        self._tracks: dict[Series, Track] = {}
        self._pace: Pace | None = None
        self._next = 0
        self.speed = 1.0
        self.paused = self.ended = self.loop = False
        self.opening = 0
        """Channels that are being opened."""
        self._moves = 0
        self._target: int | None = None
        self._moved: list[asyncio.Future[None]] = []
        self._woken = asyncio.Event()
        self._turn = 0.0
        self.on_unread: Callable[[Series], None] = lambda _: None
        """Called when rows of a series cannot be read; it is played no more."""

    @property
    def position(self) -> int:
        """The time (unix ns) that is reached: all rows before it were sent, none from it on."""
        reached = self._pace.position_ns if self._pace is not None else 0
        return max(self._next, min(reached, self.span.end))

    def begin(self, position: int | None) -> None:
        """Stand at a position, at first. One at the end has been played."""
        start, end = self.span.start, self.span.end
        self._next = min(max(position or 0, start), end)
        if position is not None and position >= end > start:
            self.ended = not self.loop
            self._next = start if self.loop else end

    async def look(self) -> None:
        """See what the catalog has now, which may be more than at the start."""
        await self.span.look()
        if self._pace is None:
            self._next = max(self._next, self.span.start)

    async def refusal(self, series: Series) -> Trouble | None:
        """Return why a series cannot be played; None when it can be."""
        failed = self.span.refusal(series)
        if failed is not None and failed.reason == NO_DATA:
            await self.look()
            failed = self.span.refusal(series)
        return failed

    # -- commands

    def pause(self, paused: bool) -> None:
        """Stop time where it is, or let it go on."""
        self.paused = paused
        if self._pace is not None:
            self._pace.pause() if paused else self._pace.resume()
        self.tell()

    def set_speed(self, speed: float) -> None:
        """Change the speed."""
        self.speed = speed
        if self._pace is not None:
            self._pace.speed = speed or inf
        self.tell()

    async def seek(self, position: int) -> None:
        """Go on from another time; done when the gap is told."""
        moved = asyncio.get_running_loop().create_future()
        self._target = position
        self._moved.append(moved)
        self.wake()
        await moved

    def tell(self) -> None:
        """Tell where the replay is."""
        at = min(self.position, self.span.end)
        told = (self.span.start, self.span.end, self.speed, self.paused, self.ended)
        self._link.tell(ReplayPosition(at, *told))

    # -- what is played

    async def join(self, series: Series, use: Callable[[Track], None]) -> None:
        """Play a series, from the position on; ``use`` says for whom before its first row."""
        track = self._tracks.get(series)
        if track is None:
            track = await self._loaded(series)
            self._tracks[series] = track
        use(track)
        self.wake()

    async def _loaded(self, series: Series) -> Track:
        """Return a new track that stands at the position, wherever that went meanwhile."""
        track = Track(series)
        if series.kind == DELTAS:
            track.ladder = Ladder(series)
        moves = -1
        while moves != self._moves:
            moves = self._moves
            await self._load(track, self.position)
        self._next = self.position
        late = track.take(self._next)
        if late is not None and track.ladder is not None:
            track.ladder.take(late.rows)
        return track

    def find(self, series: Series) -> Track | None:
        """Return a series that is played."""
        return self._tracks.get(series)

    def leave(self, series: Series) -> None:
        """Play a series no more, unless it is used still."""
        track = self._tracks.get(series)
        if track is not None and not track.used:
            del self._tracks[series]

    async def _load(self, track: Track, start: int) -> None:
        """Let a track read what is stored now, from a time on."""
        series, end = track.series, self.span.end
        ladder = track.ladder
        rows = await self._stored.open(series, start if ladder is None else FIRST, end)
        if ladder is not None:
            before = Rows(series, rows.opened, FIRST, max(start - 1, 0))
            await asyncio.to_thread(ladder.begin, before.backwards())
        track.read(Rows(series, rows.opened, start, end).forwards())
        track.latest = None

    async def _load_all(self) -> None:
        for track in list(self._tracks.values()):
            try:
                await self._load(track, self._next)
            except UNREADABLE:
                self._give_up(track)

    def wake(self) -> None:
        """Look again what there is to do."""
        self._woken.set()
        if self._pace is not None:
            self._pace.wake()

    # -- playing

    async def run(self) -> None:
        """Play for ever."""
        while True:
            if self._target is not None:
                await self._jump()
            elif not self._tracks or self.ended:
                self._woken.clear()
                await self._woken.wait()
                await self._gather()
            else:
                await self._play()

    async def _gather(self) -> None:
        """Wait until no more channels are being opened: they shall begin together."""
        while self._tracks or self.opening:
            if not self.opening:
                await asyncio.sleep(GATHER_S)
                if not self.opening:
                    return
            self._woken.clear()
            if self.opening:
                await self._woken.wait()

    async def _play(self) -> None:
        pace = self._pace = Pace(self.speed or inf, paused=self.paused)
        pace.due(self._next)
        while self._tracks and self._target is None and not self.ended:
            if self._next > self.span.end:
                await self._at_end()
                continue
            following = self._following()
            if pace.due(following):
                await self._window(pace)
            else:
                await pace.until(following)
        self._next = min(self.position, self.span.end + 1)
        self._pace = None

    def _following(self) -> int:
        """Return the time of what comes next: a row, a bar that its clock closes, or the end."""
        first = min(track.first for track in self._tracks.values())
        return min(first, self._bars.next_ns, self.span.end)

    async def _window(self, pace: Pace) -> None:
        """Send what is due, as far as one batch of each channel goes."""
        began = time.perf_counter()
        limit = self.span.end + 1
        if self.speed:
            limit = min(limit, pace.reached_ns + 1)
        until = self._until(limit)
        self._send(until)
        self._next = until
        took = time.perf_counter() - began
        if self.speed and until == limit:
            # Rows that are due soon go with the next window: sweeps are rare, batches large.
            await asyncio.sleep(min(LONGEST, max(SHORTEST, took * SHARE)))
        await self._breathe()

    def _until(self, limit: int) -> int:
        """Return the end of a window: the time before which its rows are."""
        tracks = self._tracks.values()
        rows = min(ROWS, max(FEWEST, MOST // len(tracks)))
        until = min(limit, min(track.bound(rows) for track in tracks))
        first = min(track.first for track in tracks)
        return first + 1 if until <= first < limit else until  # a crowd in one nanosecond

    def _send(self, until: int) -> None:
        objects: list[list[Data]] = []
        for track in list(self._tracks.values()):
            try:
                part = track.take(until)
                if part is not None:
                    self._send_part(track, part)
                    if track.bars:
                        objects.append(_objects(track.series, part.rows))
            except UNREADABLE:
                self._give_up(track)
        by_time = objects[0] if len(objects) == 1 else list(merge(*objects, key=_time))
        self._bars.play(by_time, until)
        self._sender.sweep()

    def _send_part(self, track: Track, part: Part) -> None:
        for number, channel in track.numbers.items():
            self._sender.put(number, channel, part)
        track.latest = part.block.rows.slice(part.end - 1, 1)
        if track.ladder is not None:
            track.ladder.take(part.rows)

    def _give_up(self, track: Track) -> None:
        """Play a series no more whose file is damaged: the others go on."""
        log.exception("%s of %s cannot be read", track.series.kind, track.series.identifier)
        del self._tracks[track.series]
        self.on_unread(track.series)

    async def _breathe(self) -> None:
        """Wait for the service to read, and let others have their turn."""
        await self._link.drained()
        now = time.monotonic()
        if now - self._turn > TURN_S:
            await asyncio.sleep(0)
            self._turn = time.monotonic()

    # -- moving

    async def _at_end(self) -> None:
        """Go on with what was stored meanwhile, begin again, or stand."""
        end = self.span.end
        await self.span.look()
        if self.span.end > end:
            await self._load_all()
        elif self.loop:
            self._target = self.span.start
        else:
            self.ended = True
            self.tell()

    async def _jump(self) -> None:
        """Go to the target and tell the gap."""
        assert self._target is not None  # as the caller has looked
        start = min(self.position, self.span.end)
        await self.span.look()
        target, self._target = self._target, None
        self._next, self.ended = target, False
        self._moves += 1
        await self._load_all()
        self._bars.restart(target)
        text = "The replay goes on from another time."
        self._sender.gap(SOUGHT, -1, start, target, text)
        self.tell()
        moved, self._moved = self._moved, []
        for each in moved:
            if not each.done():
                each.set_result(None)


def _objects(series: Series, rows: pa.RecordBatch) -> list[Data]:
    channel = live.Channel(instrument_id=series.instrument_id, bar_type=series.bar_type)
    return objects_of(batch_of(series, channel, rows))


def _time(row: Data) -> int:
    return int(row.ts_init)
