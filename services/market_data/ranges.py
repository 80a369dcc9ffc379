"""Ranges of the venue's time that a catalog is known to hold whole, and what is missing of one."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.market_data.catalog import Catalog, File
from services.market_data.domain import FIRST, LAST, Series

type Range = tuple[int, int]
"""First and last unix nanosecond, both included."""


def missing(wanted: Range, known: Iterable[Range]) -> list[Range]:
    """Return the parts of a range that are in none of the known ones, in order."""
    holes, (start, end) = list[Range](), wanted
    for first, last in sorted(known):
        if first > end:
            break
        if first > start:
            holes.append((start, first - 1))
        start = max(start, last + 1)
    if start <= end:
        holes.append((start, end))
    return holes


def stretches(catalog: Catalog, files: Iterable[File], step: int) -> list[Range]:
    """Return the stretches of bars in files that follow each other without a hole."""
    tables = [pq.read_table(catalog.root / file.path, columns=["ts_event"]) for file in files]
    if not tables:
        return []
    times = np.sort(pa.concat_tables(tables)["ts_event"].to_numpy().astype(np.int64))
    breaks = np.flatnonzero(np.diff(times) > step * 3 // 2)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(times) - 1)
    return [(int(times[a]), int(times[b])) for a, b in zip(firsts, lasts, strict=True)]


class RangeStore:
    """Known ranges of all series."""

    async def find(
        self, tx: Any, project: str, series: Series, start: int = FIRST, end: int = LAST
    ) -> list[Range]:
        """Return the known ranges that touch a range, in order."""
        rows = await tx.fetch(
            "SELECT first_ns, last_ns FROM known_ranges WHERE project = $1 AND kind = $2"
            " AND identifier = $3 AND last_ns >= $4 AND first_ns <= $5 ORDER BY first_ns",
            project,
            series.kind,
            series.identifier,
            start,
            end,
        )
        return [(row["first_ns"], row["last_ns"]) for row in rows]

    async def add(self, tx: Any, project: str, owner: str, series: Series, known: Range) -> None:
        """Note that a range is known; it is joined with those that it touches."""
        first, last = known
        if last < first:
            return
        touching = await self.find(tx, project, series, max(FIRST, first - 1), min(LAST, last + 1))
        await self._replace(
            tx,
            project,
            owner,
            series,
            touching,
            [(min([first, *(a for a, _ in touching)]), max([last, *(b for _, b in touching)]))],
        )

    async def remove(self, tx: Any, project: str, owner: str, series: Series, gone: Range) -> None:
        """Note that a range is not known any more."""
        touching = await self.find(tx, project, series, *gone)
        left = [part for each in touching for part in missing(each, [gone])]
        await self._replace(tx, project, owner, series, touching, left)

    async def _replace(
        self,
        tx: Any,
        project: str,
        owner: str,
        series: Series,
        old: list[Range],
        new: list[Range],
    ) -> None:
        await tx.execute(
            "DELETE FROM known_ranges WHERE project = $1 AND kind = $2 AND identifier = $3"
            " AND first_ns = ANY($4)",
            project,
            series.kind,
            series.identifier,
            [first for first, _ in old],
        )
        for first, last in new:
            await tx.execute(
                "INSERT INTO known_ranges (project, kind, identifier, owner, first_ns, last_ns)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                project,
                series.kind,
                series.identifier,
                owner,
                first,
                last,
            )
