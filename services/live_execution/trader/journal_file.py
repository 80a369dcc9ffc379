"""A file of a journal: a header, then framed records with numbers that follow each other.

Header: magic, fence, number of the first record, checksum. Record: length, number, checksum, body.
Integers are little-endian; the checksum (CRC-32) is over all that comes before it, and the body.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"MJ01"
SUFFIX = ".journal"

_HEADER = struct.Struct("<4sQQ")
_PREFIX = struct.Struct("<IQ")
_SUM = struct.Struct("<I")
HEADER_SIZE = _HEADER.size + _SUM.size
FRAME_SIZE = _PREFIX.size + _SUM.size

LONGEST = 256 * 2**20
"""Bytes of a body; what says to be longer is no record."""

CHUNK = 2**20

Record = tuple[int, bytes]
"""A fact's number and its serialised ``TraderFact``."""


@dataclass
class Segment:
    """A file of the journal; its records from number ``end`` on do not count.

    A process that lost its lease may go on writing for a while: what it wrote from where its
    successor began never became a fact.
    """

    path: Path
    fence: int
    first: int
    end: int | None = None

    @classmethod
    def create(cls, folder: Path, fence: int, first: int) -> tuple["Segment", int]:
        """Make a file; return it and a descriptor that appends. Raises ``OSError``."""
        path = folder / f"{fence:012d}-{first:015d}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        header = _HEADER.pack(MAGIC, fence, first)
        os.write(descriptor, header + _SUM.pack(zlib.crc32(header)))
        return cls(path, fence, first), descriptor

    @classmethod
    def open(cls, path: Path) -> "Segment | None":
        """Return the file at a path, None when its header was not written whole, or it is gone."""
        try:
            with path.open("rb") as file:
                header = file.read(HEADER_SIZE)
        except FileNotFoundError:  # a snapshot has taken its place
            return None
        if len(header) < HEADER_SIZE:
            return None
        body, (checksum,) = header[: _HEADER.size], _SUM.unpack(header[_HEADER.size :])
        magic, fence, first = _HEADER.unpack(body)
        return cls(path, fence, first) if magic == MAGIC and checksum == zlib.crc32(body) else None

    def has(self, number: int) -> bool:
        """Whether a record of this number would be in this file."""
        return self.first <= number and (self.end is None or number < self.end)


def frame(number: int, body: bytes) -> bytes:
    """Return a record."""
    prefix = _PREFIX.pack(len(body), number)
    return prefix + _SUM.pack(zlib.crc32(body, zlib.crc32(prefix))) + body


def read(descriptor: int, offset: int, number: int, most: int = CHUNK) -> tuple[list[Record], int]:
    """Return records from an offset, the first of which has this number, and where they end.

    At least one, when one is there whole; about ``most`` bytes. What is torn is not returned.
    """
    data = os.pread(descriptor, most, offset)
    records, used = parse(data, number)
    if not records and len(data) == most:
        length = int.from_bytes(data[:4], "little")
        if length <= LONGEST:
            records, used = parse(os.pread(descriptor, length + FRAME_SIZE, offset), number)
    return records, offset + used


def parse(data: bytes, number: int) -> tuple[list[Record], int]:
    """Return the whole records at the beginning of ``data``, and their size together."""
    records: list[Record] = []
    at = 0
    while at + FRAME_SIZE <= len(data):
        length, found = _PREFIX.unpack_from(data, at)
        (checksum,) = _SUM.unpack_from(data, at + _PREFIX.size)
        body = data[at + FRAME_SIZE : at + FRAME_SIZE + length]
        prefix = data[at : at + _PREFIX.size]
        if found != number or len(body) != length:
            break
        if checksum != zlib.crc32(body, zlib.crc32(prefix)):
            break
        records.append((number, body))
        at += FRAME_SIZE + length
        number += 1
    return records, at


def scan(folder: Path) -> list[Segment]:
    """Return the files of a folder in the order of their writing, each ending where a later one
    begins.
    """
    found = [Segment.open(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    segments = [segment for segment in found if segment is not None]
    end: int | None = None
    for segment in reversed(segments):
        segment.end = end
        end = segment.first if end is None else min(end, segment.first)
    return segments
