"""Journal → catalog: records of a series become rows, with their position in one transaction."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from meshkit.database import Database
from services.market_data import events
from services.market_data.adding import APPEND, Adder, Addition
from services.market_data.domain import Series
from services.market_data.file_store import FileStore
from services.market_data.live.recording.chunks import Chunk, Hole, chunk_of
from services.market_data.live.recording.journal import Journal, Place
from services.market_data.live.recording.store import RecordedGap, RecordingStore
from services.market_data.live.recording.taking import Outcome, Taking, outcome
from services.market_data.ranges import RangeStore

CHUNK_ROWS, CHUNK_BYTES = 200_000, 32 * 2**20
"""The most that is turned into rows at once."""

TOLD_SECONDS = 30.0
"""Between two facts about what a series covers while it is recorded."""


class Filler(Protocol):
    """Fills holes of recordings from the venue (``live/history/``)."""

    def fills(self, series: Series) -> bool:
        """Say whether venues keep the history of a series."""

    async def create(
        self, tx: Any, project: str, owner: str, feed_id: str, series: Series, start: int, end: int
    ) -> str:
        """Store a job for a closed range of the venue's time; returns its id."""

    def start(self, job_id: str) -> None:
        """Work on a job that was stored."""


class _Moved(Exception):
    """The recording is not where it was left: a commit was done whose answer was lost."""


@dataclass
class Flusher:
    """Writes what waits in a journal."""

    database: Database
    store: RecordingStore
    files: FileStore
    ranges: RangeStore
    adder: Adder
    journal: Journal
    filler: Filler

    async def flush(self, taking: Taking) -> None:
        """Write all that has been taken of a series before the call."""
        async with taking.lock:
            if not taking.waiting:
                return
            last = taking.waiting[-1].number
            while taking.waiting and taking.waiting[0].number <= last:
                try:
                    await self._write(taking, _first(taking))
                except _Moved:
                    await self.reload(taking)

    async def end(self, taking: Taking) -> None:
        """Write all, and note that the series is not recorded any more.

        What has no instrument yet stays in the journal, for a life that knows it.
        """
        if taking.precision is not None:
            await self.flush(taking)
        async with taking.lock:
            jobs: list[str] = []
            row = replace(taking.row, active=False)
            async with self.database.transaction() as tx:
                if taking.gap is not None:
                    now = time.time_ns()
                    ended = replace(taking.gap, to_init=now, last_event=now)
                    await self._end_gap(tx, taking, ended, jobs)
                await self.store.set_active(tx, row)
                await events.tell_data(tx, self.files, row.project, row.owner, row.series)
            taking.row, taking.gap, taking.continuing = row, None, False
        for job in jobs:
            self.filler.start(job)

    async def reload(self, taking: Taking) -> None:
        """See where a recording is, and let go what is in the catalog."""
        project, series = taking.key
        async with self.database.connection() as tx:
            row = await self.store.find(tx, project, series)
            gap = await self.store.gap_going_on(tx, project, series)
        if row is not None:
            taking.row = replace(
                taking.row,
                position=row.position,
                last_init=row.last_init,
                last_event=row.last_event,
            )
        taking.gap = gap
        self._let_go(taking, taking.row.position)

    async def _write(self, taking: Taking, places: Sequence[Place]) -> None:
        assert taking.precision is not None  # flushed only when it is known
        series, position = taking.row.series, places[-1].number
        records = await asyncio.to_thread(self.journal.read, places)
        chunk: Chunk = await asyncio.to_thread(
            chunk_of, series, records, taking.precision, taking.waits
        )
        if chunk.refused:
            text = f"The instrument of the project does not fit: {chunk.refused}."
            taking.refused = text
            chunk.parts.append(Hole("RECORDING_STALLED", text))
        made = outcome(taking, chunk, position)
        told = time.monotonic() - taking.told > TOLD_SECONDS
        jobs: list[str] = []

        async def also(tx: Any, written: int) -> None:
            jobs.clear()
            await self._commit(tx, taking, made, written, jobs)
            if told:
                row = taking.row
                await events.tell_data(tx, self.files, row.project, row.owner, series)

        if (rows := chunk.rows) is not None:
            row = taking.row

            async def mixed(tx: Any) -> bool:
                return await self._mixed(tx, taking, made)

            addition = Addition(row.project, row.owner, series, rows, APPEND, mixed)
            await self.adder.add(addition, also)
        else:
            async with self.database.transaction() as tx:
                await also(tx, 0)
        taking.row, taking.gap = made.row, made.gap
        taking.continuing, taking.waits = made.continuing, chunk.waits
        taking.told = time.monotonic() if told else taking.told
        self._let_go(taking, position)
        for job in jobs:
            self.filler.start(job)

    async def _mixed(self, tx: Any, taking: Taking, made: Outcome) -> bool:
        """Say whether a history job or an import was ahead of the recording."""
        row = taking.row
        last = max((last for _, last in made.known), default=0)
        ahead = row.last_event + 1, last
        if made.known and not row.last_event:
            ahead = min(first for first, _ in made.known), last
        return bool(await self.ranges.find(tx, row.project, row.series, *ahead))

    async def _commit(
        self, tx: Any, taking: Taking, made: Outcome, written: int, jobs: list[str]
    ) -> None:
        """Store where the recording is, what is known now, and its gaps."""
        row, series = made.row, made.row.series
        if not await self.store.advance(tx, row, taking.row.position, written):
            raise _Moved
        for known in made.known:
            await self.ranges.add(tx, row.project, row.owner, series, known)
        for time_ in made.unknown:
            await self.ranges.remove(tx, row.project, row.owner, series, (time_, time_))
        for gap in made.ended:
            await self._end_gap(tx, taking, gap, jobs)
        if made.gap is not None and not made.gap.id:
            id_ = await self.store.open_gap(tx, row.project, row.owner, series, made.gap)
            made.gap = replace(made.gap, id=id_)

    async def _end_gap(self, tx: Any, taking: Taking, gap: RecordedGap, jobs: list[str]) -> None:
        """Store the end of a gap, with the job that fills it."""
        row, series = taking.row, taking.row.series
        if not gap.id:
            gap = replace(
                gap, id=await self.store.open_gap(tx, row.project, row.owner, series, gap)
            )
        start, end = gap.first_event, gap.last_event or 0
        if series.step and end - start <= series.step * 3 // 2:  # the next bar: none is missing
            gap = replace(gap, filled=True)
            await self.ranges.add(tx, row.project, row.owner, series, (start, end))
        elif self.filler.fills(series):
            job = await self.filler.create(
                tx, row.project, row.owner, gap.feed_id, series, start, end
            )
            jobs.append(job)
            gap = replace(gap, history_job_id=job)
        await self.store.close_gap(tx, gap)

    def _let_go(self, taking: Taking, position: int) -> None:
        done = []
        while taking.waiting and taking.waiting[0].number <= position:
            done.append(taking.waiting.popleft())
        self.journal.done(done)


def _first(taking: Taking) -> list[Place]:
    """Return the records to write next."""
    chosen: list[Place] = []
    rows = size = 0
    for place in islice(taking.waiting, 100_000):
        rows, size = rows + place.rows, size + place.size
        if chosen and (rows > CHUNK_ROWS or size > CHUNK_BYTES):
            break
        chosen.append(place)
    return chosen
