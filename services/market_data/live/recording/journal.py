"""A journal of what was received, by ``write(2)``: it outlives the process, not the machine.

A record is four bytes of length, four of CRC-32, and a msgpack-encoded ``Record``. Records are
numbered over all segments and lives. A segment is removed when all of its records are done.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

HEAD = 8
SEGMENT_BYTES = 64 * 2**20
ROWS, HOLE = "rows", "hole"


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A batch of a series (``payload``), or a hole in it (``cause``, ``message``)."""

    what: str
    project: str
    feed_id: str
    owner: str
    kind: str
    instrument_id: str
    bar_type: str
    rows: int = 0
    payload: bytes = b""
    cause: str = ""
    message: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is; ``size`` is that of its body, ``rows`` how many it holds."""

    segment: "Segment"
    offset: int
    size: int
    number: int
    rows: int


class Segment:
    """One file: open for as long as something in it is to be done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self.fd).st_size
        self.left = 0

    def write(self, record: bytes) -> int:
        """Append; returns the offset. A cut write is taken back, and raises ``OSError``."""
        offset = self.size
        try:
            written = os.write(self.fd, record)
            if written < len(record):
                raise OSError("the disk is full")
        except OSError:
            os.ftruncate(self.fd, offset)
            raise
        self.size += written
        return offset

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset."""
        return os.pread(self.fd, size, offset)

    def remove(self) -> None:
        """Close and remove the file."""
        os.close(self.fd)
        self.path.unlink(missing_ok=True)


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Record)


class Journal:
    """All segments of a folder. Not for two processes at once."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self.next = 1
        """Number of the next record."""

    @property
    def bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def recover(self) -> Iterator[tuple[Record, Place]]:
        """Yield what an earlier life left; what it did not write to the end is cut off.

        Each record that is yielded is to be given to ``done``.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.journal")):
            segment = Segment(path)
            self._segments.append(segment)
            yield from self._records(segment)
        self._sweep(everything=True)

    def _records(self, segment: Segment) -> Iterator[tuple[Record, Place]]:
        offset = 0
        while (body := _body(segment, offset)) is not None:
            record = _decoder.decode(body)
            self.next = max(self.next, record.number + 1)
            segment.left += 1
            yield record, Place(segment, offset + HEAD, len(body), record.number, record.rows)
            offset += HEAD + len(body)
        if offset < segment.size:
            os.ftruncate(segment.fd, offset)
            segment.size = offset

    def append(self, record: Record) -> Place:
        """Write a record under the next number; raises ``OSError`` when it is not written."""
        body = _encoder.encode(msgspec.structs.replace(record, number=self.next))
        head = len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little")
        segment = self._current()
        offset = segment.write(head + body)
        segment.left += 1
        self.next += 1
        return Place(segment, offset + HEAD, len(body), self.next - 1, record.rows)

    def _current(self) -> Segment:
        if self._segments and self._segments[-1].size < self._segment_bytes:
            return self._segments[-1]
        segment = Segment(self._folder / f"{self.next:020d}.journal")
        self._segments.append(segment)
        return segment

    @staticmethod
    def read(places: Sequence[Place]) -> list[Record]:
        """Return records."""
        return [_decoder.decode(each.segment.read(each.offset, each.size)) for each in places]

    def done(self, places: Sequence[Place]) -> None:
        """Let records go: what they say is kept elsewhere."""
        for place in places:
            place.segment.left -= 1
        self._sweep()

    def _sweep(self, *, everything: bool = False) -> None:
        """Remove segments without work; the one that is written to only when it is full."""
        for segment in list(self._segments):
            last = segment is self._segments[-1] and not everything
            if segment.left == 0 and not (last and segment.size < self._segment_bytes):
                self._segments.remove(segment)
                segment.remove()

    def close(self) -> None:
        """Close the files, and remove those that hold no work."""
        self._sweep(everything=True)
        for segment in self._segments:
            os.close(segment.fd)
        self._segments.clear()


def _body(segment: Segment, offset: int) -> bytes | None:
    """Return the body of a whole record; None at the end, or where it was cut."""
    head = segment.read(offset, HEAD)
    if len(head) < HEAD:
        return None
    size, crc = int.from_bytes(head[:4], "little"), int.from_bytes(head[4:], "little")
    body = segment.read(offset + HEAD, size) if offset + HEAD + size <= segment.size else b""
    return body if len(body) == size > 0 and zlib.crc32(body) == crc else None
