"""Jobs and commands on their way to a stream: written with the change that asks for them.

The row stays until ``done``. The publisher adds it to its Redis stream, adds it again when Redis
lost it, and takes it out of the stream once it is done. A consumer may get an entry more than
once, and, after Redis was emptied, while another consumer still works on it: the effect is guarded
in PostgreSQL, in the transaction that calls ``done``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from meshkit.bell import QUEUED
from meshkit.database import Connection

NOTIFY = f"SELECT pg_notify('mesh_' || current_schema(), '{QUEUED}')"

BATCH = 256
"""Rows handed to Redis at once."""


@dataclass(frozen=True)
class Row:
    """An entry on its way; ``seq`` tells two entries of one key apart."""

    seq: int
    stream: str
    key: str
    payload: bytes


async def enqueue(connection: Connection, stream: str, key: str, payload: bytes = b"") -> None:
    """Send ``payload`` under ``key`` when the transaction commits.

    A key that is on its way already is left as it is; after ``done`` it may be used again.
    """
    await connection.execute(
        "INSERT INTO outbox (stream, key, payload) VALUES ($1, $2, $3)"
        " ON CONFLICT (stream, key) WHERE NOT done DO NOTHING",
        stream,
        key,
        payload,
    )
    await connection.execute(NOTIFY)


async def done(connection: Connection, stream: str, key: str) -> None:
    """Say that the work is done, or no longer wanted; any number of times."""
    await connection.execute(
        "UPDATE outbox SET done = true WHERE stream = $1 AND key = $2 AND NOT done", stream, key
    )
    await connection.execute(NOTIFY)


async def unpublished(connection: Connection) -> list[Row]:
    """Return the oldest rows that no Redis has."""
    return _rows(
        await connection.fetch(
            "SELECT seq, stream, key, payload FROM outbox"
            " WHERE NOT done AND epoch = '' ORDER BY seq LIMIT $1",
            BATCH,
        )
    )


async def published(connection: Connection, after: int) -> list[Row]:
    """Return rows that Redis should have, in pages by ``seq``."""
    return _rows(
        await connection.fetch(
            "SELECT seq, stream, key, payload FROM outbox"
            " WHERE NOT done AND epoch <> '' AND seq > $1 ORDER BY seq LIMIT $2",
            after,
            BATCH,
        )
    )


async def mark(connection: Connection, seqs: Sequence[int], epoch: str) -> set[int]:
    """Note that the Redis of ``epoch`` has these rows; return those that are still wanted."""
    rows = await connection.fetch(
        "UPDATE outbox SET epoch = $2 WHERE seq = ANY($1) AND NOT done RETURNING seq", seqs, epoch
    )
    return {row["seq"] for row in rows}


async def wanted(connection: Connection, seqs: Sequence[int]) -> set[int]:
    """Return which of these rows are not done."""
    rows = await connection.fetch("SELECT seq FROM outbox WHERE seq = ANY($1) AND NOT done", seqs)
    return {row["seq"] for row in rows}


async def forget_other_epochs(connection: Connection, epoch: str) -> None:
    """Make every row that another Redis had unpublished again."""
    await connection.execute(
        "UPDATE outbox SET epoch = '' WHERE NOT done AND epoch NOT IN ('', $1)", epoch
    )


async def finished(connection: Connection) -> list[Row]:
    """Return rows that are done and not yet taken out of Redis."""
    return _rows(
        await connection.fetch(
            "SELECT seq, stream, key, payload FROM outbox WHERE done ORDER BY seq LIMIT $1", BATCH
        )
    )


async def remove(connection: Connection, seqs: Sequence[int]) -> None:
    """Delete rows that are done."""
    await connection.execute("DELETE FROM outbox WHERE seq = ANY($1) AND done", seqs)


def _rows(rows: Sequence[object]) -> list[Row]:
    return [Row(*row) for row in rows]  # type: ignore[misc]  # four columns, in this order
