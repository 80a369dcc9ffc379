"""Rows that come piece by piece, of recordings and of venues' history, into few and large files."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from meshkit.errors import StoreUnavailable
from services.market_data.catalog import Catalog, File, batches, folder_of
from services.market_data.domain import Series
from services.market_data.merging import counted, hashes
from services.market_data.writing import FILE_ROWS, NOTHING, Decision, Write, Writer, parts

APPEND, FILL, REFRESH = "APPEND", "FILL", "REFRESH"
"""What becomes of rows that the catalog may have.

APPEND writes every row: the caller knows that none was written before. FILL leaves out what is
there, REFRESH puts the new row in its place. A trade is known by its id, a bar by its
``ts_event``, others by all but ``ts_init``: a venue's history has other ``ts_init`` than what was
recorded live.
"""

IDENTITY = {"TRADE_TICK": ("trade_id",), "BAR": ("ts_event",)}

MARGIN = 600 * 10**9
"""Nanoseconds around new rows in which their like is looked for."""

LOOKED_AT = 16
"""Files before the new rows that may be joined with them."""

SWEEP_SECONDS = 60.0
"""Between two looks for retired files to remove."""

LOOKS, LOOK_SECONDS = 100, 0.05
"""How often, and after what time, a file is looked for that is being moved into place."""


@dataclass(frozen=True)
class Addition:
    """Rows for a series, as stored, in any order; at least one.

    ``mixed`` says, within the transaction, that somebody else may have written rows of these: then
    APPEND does as FILL.
    """

    project: str
    owner: str
    series: Series
    rows: pa.Table
    policy: str
    mixed: Callable[[Any], Awaitable[bool]] | None = None


@dataclass(frozen=True)
class _Plan:
    rows: pa.Table | None
    """What the files of ``removes`` are replaced by; None when nothing changes."""
    removes: list[File]
    written: int


Also = Callable[[Any, int], Awaitable[None]]
"""Commits with the rows: gets the transaction, and how many rows are new."""


class Adder(Writer):
    """Adds rows; a file is joined with what follows until it is large."""

    _swept = 0.0

    async def add(self, addition: Addition, also: Also) -> int:
        """Add rows; returns how many are new. Raises ``StoreUnavailable``."""
        ordered = replace(addition, rows=in_time(addition.rows))
        for _ in range(LOOKS):
            try:
                return await self._add(ordered, also)
            except FileNotFoundError:  # decided by another writer, and just being moved
                await asyncio.sleep(LOOK_SECONDS)
        raise StoreUnavailable(
            "The data is being rewritten. Try again.", metadata={"store": "catalog"}
        )

    async def _add(self, addition: Addition, also: Also) -> int:
        catalog, series = self.catalog(addition.project), addition.series
        decision = Decision(addition.project, series)
        staged = decision.staged
        try:
            async with self._database.transaction() as tx:
                await self._files.lock(tx, addition.project, series)
                if addition.mixed is not None and await addition.mixed(tx):
                    addition = replace(addition, policy=FILL)
                plan = await self._plan(tx, catalog, addition)
                folder = folder_of(series.kind, series.identifier)
                for part in parts(plan.rows) if plan.rows is not None else ():
                    staged.append(await asyncio.to_thread(catalog.stage, part, folder))
                write = Write(addition.project, addition.owner, series, NOTHING, "")
                decision.removes = plan.removes
                decision.move = await self._replace(tx, write, staged, plan.removes)
                await also(tx, plan.written)
                decision.made = True
        except BaseException:
            await self._give_up(decision)
            raise
        await self._carry_out(decision)
        return plan.written

    async def _move(
        self, move: int, project: str, adds: Iterable[tuple[str, str]], removes: Iterable[str]
    ) -> None:
        """Do a move; rows are as before, so a run that has pinned an old file may still read it."""
        catalog, gone = self.catalog(project), list(removes)
        await asyncio.to_thread(catalog.retire, list(adds), gone)
        async with self._database.connection() as tx:
            await self._files.moved(tx, move)
        if gone and time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            await asyncio.to_thread(catalog.sweep_retired)

    async def _plan(self, tx: Any, catalog: Catalog, addition: Addition) -> _Plan:
        """Decide what is written and what it replaces."""
        rows, replaced = addition.rows, list[File]()
        written = rows.num_rows
        if addition.policy != APPEND:
            near = await self._near(tx, addition, MARGIN)
            known = await asyncio.to_thread(_known, catalog, near, addition)
            written -= int(known.sum())
            if addition.policy == FILL:
                rows = rows.filter(pa.array(~known))
            elif known.any():
                replaced = near
        if not rows.num_rows:
            return _Plan(None, [], 0)
        first, last = _ends(rows, replaced)
        whole = replace(addition, rows=rows)
        around = await self._files.find(tx, addition.project, addition.series, first, last)
        size = rows.num_rows + sum(file.rows for file in around)
        before = await self._small(tx, whole, min([first, *(f.first for f in around)]), size)
        removes = [*before, *around]
        together = await asyncio.to_thread(_together, catalog, removes, whole)
        return _Plan(together, removes, written)

    async def _near(self, tx: Any, addition: Addition, margin: int) -> list[File]:
        first, last = _ends(addition.rows, [])
        return await self._files.find(
            tx, addition.project, addition.series, first - margin, last + margin
        )

    async def _small(self, tx: Any, addition: Addition, first: int, size: int) -> list[File]:
        """Return the files before that are no larger than what follows them.

        So each row is written anew only when its file doubles: at most twenty times.
        """
        chosen: list[File] = []
        found = await self._files.before(tx, addition.project, addition.series, first, LOOKED_AT)
        for file in found:
            if file.rows > size or size + file.rows > FILE_ROWS:
                break
            chosen.insert(0, file)
            size += file.rows
        return chosen


def in_time(rows: pa.Table) -> pa.Table:
    """Return rows in the order of ``ts_init``, keeping the order of equal times."""
    times = rows["ts_init"].to_numpy()
    if len(times) < 2 or bool(np.all(times[1:] >= times[:-1])):
        return rows
    return rows.take(pa.array(np.argsort(times, kind="stable")))


def _ends(rows: pa.Table, files: Iterable[File]) -> tuple[int, int]:
    times = rows["ts_init"]
    found = list(files)
    return (
        min([times[0].as_py(), *(file.first for file in found)]),
        max([times[-1].as_py(), *(file.last for file in found)]),
    )


def _names(series: Series, rows: pa.Table) -> list[str]:
    all_but_time = tuple(name for name in rows.column_names if name != "ts_init")
    return list(IDENTITY.get(series.kind, all_but_time))


def _known(catalog: Catalog, near: list[File], addition: Addition) -> np.ndarray:
    """Return which rows the catalog has, or came before in the addition itself."""
    names = _names(addition.series, addition.rows)
    first, last = _ends(addition.rows, [])
    opened = catalog.open(near)
    found = list(batches(opened, names, first - MARGIN, last + MARGIN, FILE_ROWS))
    given = addition.rows.select(names)
    kept = [pa.Table.from_batches([batch]).select(names).cast(given.schema) for batch in found]
    both = pa.concat_tables([*kept, given])
    keys = hashes(both) if addition.series.kind in IDENTITY else _occurrences(kept, given)
    known: np.ndarray = keys.duplicated().to_numpy()[both.num_rows - given.num_rows :]
    return known


def _occurrences(kept: list[pa.Table], given: pa.Table) -> Any:
    """Return keys that tell the first of equal rows from the second."""
    import pandas as pd

    existing = pa.concat_tables(kept) if kept else given.slice(0, 0)
    return pd.concat([counted(existing), counted(given)], ignore_index=True)


def _together(catalog: Catalog, files: list[File], addition: Addition) -> pa.Table:
    """Return the rows of files and the new ones, in order; of equal ones the new."""
    rows = addition.rows
    if not files:
        return rows
    paths = [file.path for file in files]
    schema = _schema(catalog, paths, rows.schema)
    existing, rows = catalog.read(paths, schema), rows.cast(schema)
    if addition.policy == REFRESH:
        names = _names(addition.series, rows)
        both = pa.concat_tables([rows.select(names), existing.select(names)])
        stale = hashes(both).duplicated().to_numpy()[rows.num_rows :]
        existing = existing.filter(pa.array(~stale))
    return in_time(pa.concat_tables([existing, rows]))


def _schema(catalog: Catalog, paths: list[str], schema: pa.Schema) -> pa.Schema:
    """Return the schema for all: mark and index prices have decimals of their own."""
    name = b"price_precision"
    given = dict(schema.metadata)
    for path in paths if name in given else ():
        found = pq.read_schema(catalog.root / path).metadata
        given[name] = str(max(int(given[name]), int(found[name]))).encode()
    return schema.with_metadata(given)
