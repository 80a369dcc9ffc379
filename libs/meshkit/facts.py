"""The numbered fact log of a service: what happened, written in the transaction that made it
happen.

A stream has one writing service. Its numbers begin at 1, have no holes and follow the order of
commits, because the row of the stream's head is locked from ``append`` to the end of the
transaction. Append last: every other writer of the stream waits from there on.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.message import Message

from mesh.events.v1.events_pb2 import Event
from meshkit import context, times
from meshkit.database import Connection
from meshkit.errors import Aborted

NOTIFY = "SELECT pg_notify('mesh_' || current_schema(), '')"
"""Tells the publishers of this schema, once the transaction commits, that there is work."""

_APPEND_MANY = (
    "WITH head AS (INSERT INTO stream_heads AS h (stream, number, fence)"
    "  SELECT $1, $3, $4 WHERE $2 = 1 OR EXISTS (SELECT FROM stream_heads WHERE stream = $1)"
    "  ON CONFLICT (stream) DO UPDATE SET number = $3, fence = $4"
    "  WHERE h.number = $2 - 1 AND h.fence <= $4 RETURNING h.number),"
    " fact AS (INSERT INTO facts (stream, number, event)"
    "  SELECT $1, e.number, e.event"
    "  FROM head, unnest($5::bigint[], $6::bytea[]) AS e(number, event))"
)
_APPENDED = " SELECT number, pg_notify('mesh_' || current_schema(), '') FROM head"

READ_LIMIT = 256
"""Facts in one read."""


class StaleFence(Aborted):
    """The writer was replaced: a writer with a newer fence has appended since."""

    reason = "STALE_FENCE"


class HeadMoved(Aborted):
    """The stream does not end where the writer believes; nothing was appended."""

    reason = "SERIALIZATION_CLASH"


@dataclass(frozen=True)
class Head:
    """Where a stream stands: the last number, and the oldest that is still kept."""

    stream: str
    number: int
    kept_from: int


@dataclass(frozen=True)
class Fact:
    """One fact as stored: its number and the serialised ``mesh.events.v1.Event``."""

    number: int
    event: bytes


class FactLog:
    """Appends facts to the streams of one writer: ``facts:<writer>`` and ``facts:<writer>:...``."""

    def __init__(self, writer: str) -> None:
        self._own = f"facts:{writer}"

    async def append(
        self,
        connection: Connection,
        stream: str,
        *,
        subject: str,
        owner: str,
        project: str,
        payload: Message,
        fence: int = 0,
    ) -> int:
        """Append a fact inside the caller's transaction and return its number.

        ``subject`` is the id of the resource that ``payload`` holds whole. Raises ``StaleFence``
        when the stream has seen a newer fence.
        """
        if stream != self._own and not stream.startswith(self._own + ":"):
            raise ValueError(f"{stream} is not a stream of {self._own}")
        number = await _next_number(connection, stream, fence)
        event = Event(
            event_id=str(uuid.uuid4()),
            stream=stream,
            number=number,
            time=times.now(),
            owner=owner,
            project=project,
            subject=subject,
            fence=fence,
            request_id=context.request_id(),
            traceparent=context.traceparent(),
        )
        event.payload.Pack(payload)
        await connection.execute(
            "WITH fact AS (INSERT INTO facts (stream, number, event) VALUES ($1, $2, $3)) "
            + NOTIFY,
            stream,
            number,
            event.SerializeToString(),
        )
        return number


Also = tuple[str, Sequence[Any]]
"""A statement of the same step and its arguments. It has them as ``{0}``, ``{1}``, … and names
``head``: a relation of one row when the facts were appended, and of none otherwise.
"""


async def append_many(
    connection: Connection,
    stream: str,
    first: int,
    events: Sequence[bytes],
    *,
    fence: int = 0,
    also: Sequence[Also] = (),
) -> None:
    """Append events that their writer has numbered, from ``first`` on without holes.

    ``events`` are serialised ``mesh.events.v1.Event``. All of it is one statement, with what it
    changes ``also``: one way to the server and back, and atomic without a transaction. No two of
    them may change the same row. Raises ``StaleFence`` when the stream has seen a newer fence, and
    ``HeadMoved`` when its last number is not ``first - 1``; nothing is done then.
    """
    last = first + len(events) - 1
    arguments = [stream, first, last, fence, list(range(first, last + 1)), list(events)]
    statement = _APPEND_MANY
    for index, (text, values) in enumerate(also):
        numbers = range(len(arguments) + 1, len(arguments) + len(values) + 1)
        statement += f", also{index} AS ({text.format(*(f'${n}' for n in numbers))})"
        arguments += values
    row = await connection.fetchrow(statement + _APPENDED, *arguments)
    if row is None:
        newest = await connection.fetchval(
            "SELECT fence FROM stream_heads WHERE stream = $1", stream
        )
        if newest is not None and newest > fence:
            raise _stale(stream, fence)
        raise HeadMoved(f"{stream} does not end with {first - 1}.", metadata={"stream": stream})


async def _next_number(connection: Connection, stream: str, fence: int) -> int:
    if not connection.is_in_transaction():
        raise RuntimeError("a fact is appended in the transaction of the change that it tells of")
    number = await connection.fetchval(
        "INSERT INTO stream_heads AS h (stream, number, fence) VALUES ($1, 1, $2)"
        " ON CONFLICT (stream) DO UPDATE SET number = h.number + 1, fence = $2"
        " WHERE h.fence <= $2 RETURNING number",
        stream,
        fence,
    )
    if number is None:
        raise _stale(stream, fence)
    return int(number)


def _stale(stream: str, fence: int) -> StaleFence:
    return StaleFence(
        f"Another writer has taken over {stream}; nothing was done.",
        metadata={"stream": stream, "fence": str(fence)},
    )


async def origin(connection: Connection) -> str:
    """Return what tells this schema's numbers from those of an earlier life of the schema."""
    return str(await connection.fetchval("SELECT origin FROM stream_origin"))


async def heads(connection: Connection, streams: Sequence[str] | None = None) -> list[Head]:
    """Return the heads of the given streams, or of all; a stream without a fact has none."""
    rows = await connection.fetch(
        "SELECT stream, number, kept_from FROM stream_heads"
        " WHERE $1::text[] IS NULL OR stream = ANY($1) ORDER BY stream",
        streams,
    )
    return [Head(row["stream"], row["number"], row["kept_from"]) for row in rows]


async def read(
    connection: Connection, stream: str, after: int, limit: int = READ_LIMIT
) -> list[Fact]:
    """Return up to ``limit`` facts with numbers above ``after``, in order."""
    rows = await connection.fetch(
        "SELECT number, event FROM facts WHERE stream = $1 AND number > $2"
        " ORDER BY number LIMIT $3",
        stream,
        after,
        limit,
    )
    return [Fact(row["number"], row["event"]) for row in rows]


async def first_younger(connection: Connection, stream: str, age: timedelta) -> int:
    """Return the number of the first fact younger than ``age``; the next number if none is."""
    number = await connection.fetchval(
        "SELECT coalesce((SELECT number FROM facts WHERE stream = $1"
        "  AND create_time >= now() - $2::interval ORDER BY number LIMIT 1), h.number + 1)"
        " FROM stream_heads h WHERE h.stream = $1",
        stream,
        age,
    )
    return int(number or 1)


async def trim(connection: Connection, stream: str, before: int, most: int = 10_000) -> int:
    """Delete at most ``most`` of the oldest facts below number ``before``; return how many.

    Runs in a transaction of the caller: readers see the new ``kept_from`` with the deletion.
    """
    kept_from = await connection.fetchval(
        "UPDATE stream_heads SET kept_from = greatest(kept_from, least($2, kept_from + $3))"
        " WHERE stream = $1 AND kept_from < $2 RETURNING kept_from",
        stream,
        before,
        most,
    )
    if kept_from is None:
        return 0
    done = await connection.execute(
        "DELETE FROM facts WHERE stream = $1 AND number < $2", stream, kept_from
    )
    return int(done.split()[-1])
