"""Changes of a catalog: decided in one transaction, then done on disk, and done again after a
crash.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from meshkit.database import Database
from meshkit.link import ERRORS
from services.market_data.catalog import Catalog, File, folder_of
from services.market_data.domain import Series
from services.market_data.errors import ImportFault
from services.market_data.file_store import FileStore
from services.market_data.merging import Counts, Lines, find_gaps, merged

FILE_ROWS = 1_000_000
"""Rows of a file: a later import of the same times reads and writes whole files."""

SETTLE_SECONDS = 0.5
"""Between two looks whether a transaction was committed whose answer was lost."""

NOTHING = Lines(pa.table({}), np.array([], np.int64))


@dataclass(frozen=True)
class Write:
    """Rows for a series, as stored, and what to do where the catalog has rows of their times."""

    project: str
    owner: str
    series: Series
    given: Lines
    policy: str


@dataclass
class Decision:
    """What a transaction decides about the files of a series, and the move that carries it out.

    ``made`` says that nothing but its commit is left, so that it may be done even when that fails.
    """

    project: str
    series: Series
    staged: list[tuple[str, File]] = field(default_factory=list)
    removes: list[File] = field(default_factory=list)
    move: int | None = None
    made: bool = False


class Writer:
    """The one way to change data files."""

    def __init__(self, database: Database, files: FileStore, root: Path) -> None:
        self._database = database
        self._files = files
        self._root = root
        self._settling: set[asyncio.Task[None]] = set()

    def catalog(self, project: str) -> Catalog:
        """Return a project's catalog."""
        return Catalog(self._root, project)

    async def recover(self) -> None:
        """Finish the moves of an earlier life, and remove what it left staged."""
        async with self._database.connection() as tx:
            moves = await self._files.moves(tx)
            projects = await self._files.projects(tx)
        for move, project, adds, removes in moves:
            await self._move(move, project, adds, removes)
        for project in projects:
            await asyncio.to_thread(self.catalog(project).clear_staging)

    async def write(
        self, write: Write, counts: Counts, also: Callable[[Any], Awaitable[bool]]
    ) -> bool:
        """Add rows to a series; ``also(tx)`` commits with it, and False from it undoes all.

        Raises ``ImportFault`` when the policy, or a contradiction, forbids it.
        """
        times = write.given.rows["ts_init"]
        first, last = times[0].as_py(), times[-1].as_py()
        catalog = self.catalog(write.project)
        decision = Decision(write.project, write.series)
        staged = decision.staged
        try:
            async with self._database.transaction() as tx:
                await self._files.lock(tx, write.project, write.series)
                found = await self._files.find(tx, write.project, write.series, first, last)
                if found and write.policy == "REFUSE":
                    raise ImportFault(
                        "OVERLAP_REFUSED",
                        f"The catalog has {len(found)} files of these times. "
                        "Import with MERGE or REPLACE, or delete the data first.",
                    )
                rows = await asyncio.to_thread(_together, catalog, found, write, counts)
                folder = folder_of(write.series.kind, write.series.identifier)
                for part in parts(rows) if rows is not None else ():
                    staged.append(await asyncio.to_thread(catalog.stage, part, folder))
                decision.removes = found if rows is not None else []
                decision.move = await self._replace(tx, write, staged, decision.removes)
                if not await also(tx):
                    raise _Undo
                decision.made = True
        except _Undo:
            await self._give_up(decision)
            return False
        except BaseException:
            await self._give_up(decision)
            raise
        await self._carry_out(decision)
        return True

    async def delete(
        self,
        project: str,
        owner: str,
        series: Series,
        start: int,
        end: int,
        also: Callable[[Any, int], Awaitable[None]],
    ) -> int:
        """Delete the rows of a closed range; returns how many. ``also(tx, rows)`` commits with
        it.
        """
        catalog = self.catalog(project)
        decision = Decision(project, series)
        try:
            async with self._database.transaction() as tx:
                await self._files.lock(tx, project, series)
                found = await self._files.find(tx, project, series, start, end)
                kept, gone = await asyncio.to_thread(_outside, catalog, found, series, start, end)
                folder = folder_of(series.kind, series.identifier)
                for part in (part for side in kept for part in parts(side)):
                    decision.staged.append(await asyncio.to_thread(catalog.stage, part, folder))
                empty = Write(project, owner, series, NOTHING, "")
                decision.removes = found
                decision.move = await self._replace(tx, empty, decision.staged, found)
                await also(tx, gone)
                decision.made = True
        except BaseException:
            await self._give_up(decision)
            raise
        await self._carry_out(decision)
        return gone

    async def _carry_out(self, decision: Decision) -> None:
        """Do on disk what was committed; it goes on to its end when the caller goes away."""
        if decision.move is None:
            return
        moving = asyncio.create_task(self._move_of(decision))
        self._settling.add(moving)
        moving.add_done_callback(self._settling.discard)
        try:
            await asyncio.shield(moving)
        except ERRORS:
            self._settle_later(decision)
            raise

    async def _give_up(self, decision: Decision) -> None:
        """Remove what was staged for a transaction that failed, unless its commit may be done:
        then the database is asked, in the background.
        """
        if decision.made and decision.move is not None:
            self._settle_later(decision)
        else:
            await asyncio.to_thread(self._discard, decision)

    def _settle_later(self, decision: Decision) -> None:
        task = asyncio.create_task(self._settle(decision))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, decision: Decision) -> None:
        """Do or undo a move of which it is not known whether it was committed, or done."""
        assert decision.move is not None  # else there is nothing to settle
        while True:
            try:
                async with self._database.transaction() as tx:
                    # The lock waits for the end of the transaction that is asked about.
                    await self._files.lock(tx, decision.project, decision.series)
                    is_committed = await self._files.has_move(tx, decision.move)
                if is_committed:
                    await self._move_of(decision)
                else:
                    await asyncio.to_thread(self._discard, decision)
            except ERRORS:
                await asyncio.sleep(SETTLE_SECONDS)
            else:
                return

    async def _move_of(self, decision: Decision) -> None:
        assert decision.move is not None  # what the callers have looked at
        adds = [(path, file.path) for path, file in decision.staged]
        removes = [file.path for file in decision.removes]
        await self._move(decision.move, decision.project, adds, removes)

    def _discard(self, decision: Decision) -> None:
        self.catalog(decision.project).discard([path for path, _ in decision.staged])

    async def _replace(
        self, tx: Any, write: Write, staged: list[tuple[str, File]], removes: list[File]
    ) -> int | None:
        if not staged and not removes:
            return None
        move = await self._files.replace(
            tx, write.project, write.owner, write.series, staged, removes
        )
        gaps = await self._gaps(tx, write.project, write.series, staged)
        await self._files.set_gaps(tx, write.project, write.owner, write.series, gaps)
        return move

    async def _gaps(
        self, tx: Any, project: str, series: Series, staged: list[tuple[str, File]]
    ) -> int:
        if not series.step:
            return 0
        where = {file.path: path for path, file in staged}
        files = await self._files.find(tx, project, series)
        paths = [where.get(file.path, file.path) for file in files]
        counts = Counts()
        times = await asyncio.to_thread(read_times, self.catalog(project), paths)
        find_gaps(times, series.step, counts)
        return counts.gap_count

    async def _move(
        self, move: int, project: str, adds: Iterable[tuple[str, str]], removes: Iterable[str]
    ) -> None:
        await asyncio.to_thread(self.catalog(project).apply, list(adds), list(removes))
        async with self._database.connection() as tx:
            await self._files.moved(tx, move)


def parts(rows: pa.Table) -> Iterator[pa.Table]:
    """Cut rows into those of one file each, never between rows of one time."""
    times = rows["ts_init"].to_numpy()
    start = 0
    while start < len(times):
        end = min(start + FILE_ROWS, len(times))
        end = int(np.searchsorted(times, times[end - 1], side="right"))
        yield rows.slice(start, end - start)
        start = end


class _Undo(Exception):
    """Rolls a transaction back on purpose."""


def read_times(catalog: Catalog, paths: Iterable[str]) -> pa.Table:
    """Return the times of the rows of files."""
    tables = [pq.read_table(catalog.root / path, columns=["ts_init"]) for path in paths]
    return pa.concat_tables(tables) if tables else pa.table({"ts_init": pa.array([], pa.uint64())})


def _together(catalog: Catalog, found: list[File], write: Write, counts: Counts) -> pa.Table | None:
    """Return the rows that replace those of ``found``; None when nothing changes."""
    rows = write.given.rows
    if not found:
        counts.rows_written = rows.num_rows
        return rows
    existing = catalog.read([file.path for file in found], rows.schema)
    if write.policy == "REPLACE":
        times = rows["ts_init"]
        kept = [
            existing.filter(mask) for mask in _sides(existing, times[0].as_py(), times[-1].as_py())
        ]
        counts.rows_written = rows.num_rows
        return pa.concat_tables([kept[0], rows, kept[1]])
    together = merged(existing, write.given, write.series.kind, counts)
    counts.rows_written = rows.num_rows - counts.rows_present
    return together if counts.rows_written else None


def _outside(
    catalog: Catalog, found: list[File], series: Series, start: int, end: int
) -> tuple[list[pa.Table], int]:
    """Return the rows of files before and after a range, and how many are inside."""
    if not found:
        return [], 0
    schema = pq.read_schema(catalog.root / found[0].path)
    rows = catalog.read([file.path for file in found], schema)
    kept = [rows.filter(mask) for mask in _sides(rows, start, end)]
    gone = rows.num_rows - sum(part.num_rows for part in kept)
    return [part for part in kept if part.num_rows], gone


def _sides(rows: pa.Table, first: int, last: int) -> tuple[pa.Array, pa.Array]:
    times = rows["ts_init"].to_numpy()
    return pa.array(times < np.uint64(max(0, first))), pa.array(times > np.uint64(max(0, last)))
