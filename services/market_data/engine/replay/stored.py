"""What a project's catalog has, read from its folder while a writer may change it.

Files are opened all at once; what is open can be read to its end, whatever is put in its place.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from services.market_data.catalog import Catalog, File, Opened, backwards, batches, folder_of
from services.market_data.domain import FIRST, LAST, Series
from services.market_data.tables import KINDS, TIMES

ROWS = 4_096
"""Rows that are read at once: few, since each of a thousand series may hold so many."""

LOOKS, PAUSE_S = 100, 0.02
"""How often to look again, and seconds between, while files are being replaced."""

SUFFIX = ".parquet"


class Moving(Exception):
    """Files are being replaced."""


@dataclass(frozen=True)
class Rows:
    """The open files of a series, and the closed range (unix ns) that is wanted of them."""

    series: Series
    opened: Sequence[Opened]
    start: int
    end: int

    def forwards(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in the order of time."""
        for batch in batches(self.opened, self._names, self.start, self.end, ROWS):
            yield self._whole(batch)

    def backwards(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows from the last batch to the first."""
        for batch in backwards(self.opened, self._names, self.start, self.end):
            yield self._whole(batch)

    @property
    def _names(self) -> list[str]:
        return [*KINDS[self.series.kind].order, *TIMES]

    def _whole(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch with the precisions that a file has in its metadata."""
        metadata = self.opened[0].parquet.schema_arrow.metadata
        return batch.select(self._names).replace_schema_metadata(metadata)


class Stored:
    """The data folder of one project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._catalog = Catalog(root.parent, root.name)

    async def open(self, series: Series, start: int = FIRST, end: int = LAST) -> Rows:
        """Open the files with rows of a closed range; there may be none."""
        return await steadily(lambda last: self._open(series, start, end, last))

    async def span(self, allowed: Callable[[str, str], bool]) -> tuple[int, int] | None:
        """Return the first and last time of all series that are allowed by kind and folder."""
        return await asyncio.to_thread(self._span, allowed)

    def has(self, series: Series, start: int = FIRST, end: int = LAST) -> bool:
        """Tell whether there are files of a series with times in a closed range."""
        folder = self.root / folder_of(series.kind, series.identifier)
        times = (times_of(path.name) for path in _listed(folder))
        return any(first <= end and last >= start for first, last in times)

    def _open(self, series: Series, start: int, end: int, last: bool) -> Rows:
        files = self._files(series)
        chosen = _newest(files) if last else [file for file, _ in files]
        if any(after.first <= before.last for before, after in pairwise(chosen)):
            raise Moving
        within = [file for file in chosen if file.first <= end and file.last >= start]
        opened = self._catalog.open(within)
        if not last and files != self._files(series):
            raise Moving  # a listing may miss what is put in place while it is made
        return Rows(series, opened, start, end)

    def _files(self, series: Series) -> list[tuple[File, int]]:
        """Return the files of a series in the order of time, and when each was written."""
        folder = folder_of(series.kind, series.identifier)
        found = []
        for path in _listed(self.root / folder):
            first, last = times_of(path.name)
            try:
                written = path.stat().st_mtime_ns
            except FileNotFoundError:
                raise Moving from None
            found.append((File(f"{folder}/{path.name}", 0, 0, first, last, ""), written))
        return sorted(found, key=lambda each: (each[0].first, each[0].last))

    def _span(self, allowed: Callable[[str, str], bool]) -> tuple[int, int] | None:
        spans = [
            times_of(path.name)
            for kind, about in KINDS.items()
            for folder in _folders(self.root / "data" / about.folder)
            if allowed(kind, folder.name)
            for path in _listed(folder)
        ]
        if not spans:
            return None
        return min(first for first, _ in spans), max(last for _, last in spans)


async def steadily[T](look: Callable[[bool], T]) -> T:
    """Return what a look at files finds, looking again while they are being replaced.

    The last look is told so: a writer that died half way is not waited for.
    """
    for _ in range(LOOKS):
        try:
            return await asyncio.to_thread(look, False)
        except (FileNotFoundError, Moving):
            await asyncio.sleep(PAUSE_S)
    return await asyncio.to_thread(look, True)


def _newest(files: Iterable[tuple[File, int]]) -> list[File]:
    """Return files of which none has times of another: of such the one written last."""
    kept: list[File] = []
    for file, _ in sorted(files, key=lambda each: -each[1]):
        if all(file.last < other.first or other.last < file.first for other in kept):
            kept.append(file)
    return sorted(kept, key=lambda file: file.first)


def _listed(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.endswith(SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _folders(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


@lru_cache(maxsize=100_000)
def times_of(name: str) -> tuple[int, int]:
    """Return the times (unix ns) of first and last row that a file's name tells."""
    first, _, last = name.removesuffix(SUFFIX).partition("_")
    return _nanos(first), _nanos(last)


def _nanos(stamp: str) -> int:
    day, _, clock = stamp.partition("T")
    hour, minute, second, fraction = clock.rstrip("Z").split("-")
    moment = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9 + int(fraction)
