"""The journal of a trader: facts in the order in which they happened, numbered without holes.

A record is on its way to the disk when ``append`` returns (``write(2)``): the death of the process
does not lose it, that of the host may. A process writes files of its own alone, named by its
fence, and reads those of earlier ones.
"""

import errno
import os
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from services.live_execution.trader.errors import JournalBroken
from services.live_execution.trader.journal_file import (
    CHUNK,
    HEADER_SIZE,
    Record,
    Segment,
    frame,
    read,
)

ROTATE = 64 * 2**20
"""Size from which another file is begun, so that old ones can go."""

_INDEX_EVERY = 256

Index = tuple[list[int], list[int]]
"""Numbers of some records of a file, and where they are in it."""


class Journal:
    """Appends records from number ``first`` on. One thread appends; another may read.

    ``older`` are the files of earlier processes, which hold what comes before ``first`` as far as
    they are still here. Raises ``JournalBroken``.
    """

    def __init__(
        self,
        folder: Path,
        fence: int,
        first: int,
        older: Sequence[Segment] = (),
        rotate: int = ROTATE,
    ) -> None:
        self._folder = folder
        self._fence = fence
        self._rotate = rotate
        self.segments = list(older)
        for segment in self.segments:
            segment.end = first if segment.end is None else min(segment.end, first)
        self.last = first - 1
        self.broken = False
        self._descriptor = -1
        self._indexes: dict[int, Index] = {}
        self._begin()

    def append(self, bodies: Sequence[bytes]) -> int:
        """Write records by one ``write(2)``; return the number of the last.

        Raises ``JournalBroken`` when they cannot be written whole: none of them is there then,
        and none will be.
        """
        if self.broken:
            raise _cannot("an earlier write failed")
        if self._size >= self._rotate:
            self._begin()
        number = self.last
        frames = []
        for body in bodies:
            number += 1
            frames.append(frame(number, body))
        self._write(b"".join(frames))
        self.last = number
        return number

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def offset(self, segment: Segment, number: int) -> tuple[int, int]:
        """Return a record's number, at or before ``number``, and its place in the file."""
        index = self._indexes.get(segment.first) if segment.fence == self._fence else None
        if not index:
            return segment.first, HEADER_SIZE
        numbers, offsets = index
        at = max(bisect_right(numbers, number) - 1, 0)
        return numbers[at], offsets[at]

    def _begin(self) -> None:
        try:
            segment, descriptor = Segment.create(self._folder, self._fence, self.last + 1)
        except OSError as error:
            self.broken = True
            raise _cannot(os.strerror(error.errno or 0)) from error
        if self.segments and self.segments[-1].fence == self._fence:
            self.segments[-1].end = segment.first
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = HEADER_SIZE
        self._index: Index = ([], [])
        self._indexes[segment.first] = self._index
        self.segments.append(segment)

    def _write(self, data: bytes) -> None:
        numbers, offsets = self._index
        if not numbers or self.last + 1 >= numbers[-1] + _INDEX_EVERY:
            offsets.append(self._size)
            numbers.append(self.last + 1)
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):  # a disk that is nearly full takes a part
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            self.broken = True
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise _cannot(os.strerror(error.errno or errno.EIO)) from error
        self._size += len(data)


class Reader:
    """Reads the journal in order, on another thread than the writer's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._segment: Segment | None = None
        self._descriptor = -1
        self._next = 0
        self._offset = 0

    def read(self, after: int, most: int = CHUNK) -> list[Record]:
        """Return about ``most`` bytes of records above ``after``; empty when all were read.

        Raises ``JournalBroken`` when the number after ``after`` is in no file.
        """
        if after >= self._journal.last:
            return []
        wanted = after + 1
        if self._next != wanted or self._segment is None or not self._segment.has(wanted):
            self._seek(wanted)
        records = self._read(most)
        while records and records[-1][0] < wanted:
            records = self._read(most)
        found = [record for record in records if record[0] >= wanted]
        if not found:
            raise JournalBroken(f"Number {wanted} is missing in the journal.")
        return found

    def close(self) -> None:
        """Close what is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._segment = -1, None

    def _seek(self, number: int) -> None:
        held = [segment for segment in self._journal.segments if segment.has(number)]
        if not held:
            raise JournalBroken(f"Number {number} is in no file of the journal.")
        if held[-1] is not self._segment:
            self.close()
            self._segment = held[-1]
            self._descriptor = os.open(held[-1].path, os.O_RDONLY | os.O_CLOEXEC)
        self._next, self._offset = self._journal.offset(held[-1], number)

    def _read(self, most: int) -> list[Record]:
        assert self._segment is not None
        records, self._offset = read(self._descriptor, self._offset, self._next, most)
        self._next += len(records)
        end = self._segment.end
        return records if end is None else [record for record in records if record[0] < end]


def _cannot(why: str) -> JournalBroken:
    return JournalBroken(
        f"The journal cannot be written ({why}). Free space on its disk, then start the trader."
    )
