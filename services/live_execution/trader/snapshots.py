"""Whole states of a trader at a fact number: in the journal's folder and in PostgreSQL.

A file is a checksum and the body, put in place by a rename.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meshkit.database import Connection
from services.live_execution.names import TraderKey
from services.live_execution.trader.journal_file import SUFFIX as JOURNAL
from services.live_execution.trader.journal_file import Segment

SUFFIX = ".snapshot"
KEPT = 2
"""Snapshots kept in each place."""

_INSERT = """
INSERT INTO snapshots (project, trader_id, number, fence, body)
SELECT $1, $2, $4, $3, $5 FROM traders WHERE project = $1 AND trader_id = $2 AND fence = $3
ON CONFLICT (project, trader_id, number) DO UPDATE SET fence = $3, body = $5
"""

_FORGET = """
DELETE FROM snapshots WHERE project = $1 AND trader_id = $2 AND number < (
    SELECT min(number) FROM (SELECT number FROM snapshots WHERE project = $1 AND trader_id = $2
    ORDER BY number DESC LIMIT $3) AS kept)
"""


@dataclass(frozen=True)
class Snapshot:
    """A body that holds everything up to a fact; number 0 and no body is none."""

    number: int = 0
    body: bytes = b""


def write(folder: Path, fence: int, snapshot: Snapshot) -> None:
    """Keep a snapshot in the folder; another process sees all of it or nothing."""
    path = folder / f"{snapshot.number:015d}-{fence:012d}{SUFFIX}"
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_bytes(zlib.crc32(snapshot.body).to_bytes(4, "little") + snapshot.body)
    draft.replace(path)


async def store(connection: Connection, key: TraderKey, fence: int, snapshot: Snapshot) -> None:
    """Keep a snapshot in PostgreSQL, unless another process has the lease; forget old ones.

    All facts that were shipped before are on PostgreSQL's disk when this returns.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        await connection.execute(_INSERT, *key, fence, snapshot.number, snapshot.body)
        await connection.execute(_FORGET, *key, KEPT)


async def newest(
    connection: Connection, key: TraderKey, folder: Path, segments: list[Segment]
) -> Snapshot:
    """Return the newest readable one of both places."""
    row = await connection.fetchrow(
        "SELECT number, body FROM snapshots WHERE project = $1 AND trader_id = $2"
        " ORDER BY number DESC LIMIT 1",
        *key,
    )
    stored = Snapshot(row["number"], row["body"]) if row else Snapshot()
    for path in sorted(folder.glob(f"*{SUFFIX}"), reverse=True):
        number, fence = map(int, path.stem.split("-"))
        if number <= stored.number:
            break
        if _counts(number, fence, segments) and (body := _read(path)) is not None:
            return Snapshot(number, body)
    return stored


def forget(folder: Path, shipped: int, fence: int, segments: Sequence[Segment]) -> list[Segment]:
    """Delete files whose facts are all shipped and in a stored snapshot, and older snapshots.

    ``shipped`` is the number up to which both hold. Returns the files that are gone.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}"))[:-KEPT]:
        path.unlink(missing_ok=True)
    gone = [s for s in segments if s.end is not None and s.end - 1 <= shipped]
    for segment in gone:
        segment.path.unlink(missing_ok=True)
    _sweep(folder, fence)
    return gone


def _sweep(folder: Path, fence: int) -> None:
    """Delete what a process that was killed has left half done."""
    for path in folder.glob("*.draft"):
        path.unlink(missing_ok=True)
    for path in folder.glob(f"*{JOURNAL}"):  # header torn
        if Segment.open(path) is None and int(path.stem.split("-")[0]) < fence:
            path.unlink(missing_ok=True)


def _counts(number: int, fence: int, segments: list[Segment]) -> bool:
    """Whether a snapshot was made before another process took over."""
    later = [segment.first for segment in segments if segment.fence > fence]
    return not later or number < min(later)


def _read(path: Path) -> bytes | None:
    data = path.read_bytes()
    body = data[4:]
    whole = len(data) >= 4 and int.from_bytes(data[:4], "little") == zlib.crc32(body)
    return body if whole else None
