"""A mutating request is done once: its first answer commits with the change and is given again on
replay.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from google.protobuf.message import Message

from meshkit.context import caller
from meshkit.database import Connection, Database
from meshkit.errors import RequestIdReused

KEPT = "48 hours"
"""Twice what the contracts promise."""


async def once[Response: Message](
    database: Database,
    request: Any,
    response_type: type[Response],
    work: Callable[..., Awaitable[Response]],
    *,
    prepare: Callable[[], Awaitable[Any]] | None = None,
    redact: Callable[[Response], Response] | None = None,
) -> Response:
    """Answer a mutating request, at most once per (caller, method, ``request.request_id``).

    ``prepare()`` does what takes long and changes nothing, outside the transaction; its value
    goes to ``work(connection, value)``. Without it ``work(connection)`` is called. What ``work``
    returns is stored in the same transaction (as ``redact`` makes it, for answers that carry a
    secret). A duplicate that arrives meanwhile waits and gets the same answer. Raises
    ``RequestIdReused`` for the same id with another body.
    """
    key = _Key(request)
    async with database.connection() as connection:
        stored = await key.find(connection)
    if stored is not None:
        return response_type.FromString(stored)
    prepared = (await prepare(),) if prepare else ()
    async with database.transaction() as connection:
        if not await key.claim(connection):
            stored = await key.find(connection)
            return response_type.FromString(stored or b"")
        response = await work(connection, *prepared)
        kept = redact(response) if redact else response
        await key.keep(connection, kept.SerializeToString())
    return response


async def answered[Response: Message](
    database: Database, request: Any, response_type: type[Response]
) -> Response | None:
    """Return the stored answer of a mutating request, None when it was not done yet.

    For methods that look at what they change before ``once``: it may be gone when a request is
    repeated. Raises ``RequestIdReused``.
    """
    async with database.connection() as connection:
        stored = await _Key(request).find(connection)
    return None if stored is None else response_type.FromString(stored)


class _Key:
    def __init__(self, request: Any) -> None:
        who = caller()
        self._principal = who.subject
        self._projects = list(who.projects)
        self._method = str(request.DESCRIPTOR.full_name)
        self._request_id = UUID(request.request_id)
        self._hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()

    async def find(self, connection: Connection) -> bytes | None:
        """Return the stored answer, None when there is none yet."""
        row = await connection.fetchrow(
            "SELECT body_hash, projects, response FROM requests"
            " WHERE principal = $1 AND method = $2 AND request_id = $3",
            self._principal,
            self._method,
            self._request_id,
        )
        if row is None:
            return None
        if row["body_hash"] != self._hash or not set(row["projects"]) <= set(self._projects):
            raise RequestIdReused(
                f"Request id {self._request_id} was used for another request. "
                "Nothing was done; use a new id.",
                metadata={"request_id": str(self._request_id)},
            )
        return bytes(row["response"])

    async def claim(self, connection: Connection) -> bool:
        """Take the key in this transaction; waits for another one that holds it."""
        if self._request_id.int % 256 == 0:  # one in 256 sweeps: no timer of its own
            await connection.execute(
                "DELETE FROM requests WHERE create_time < now() - $1::text::interval", KEPT
            )
        taken = await connection.fetchval(
            "INSERT INTO requests (principal, method, request_id, projects, body_hash)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING true",
            self._principal,
            self._method,
            self._request_id,
            self._projects,
            self._hash,
        )
        return bool(taken)

    async def keep(self, connection: Connection, response: bytes) -> None:
        """Store the answer."""
        await connection.execute(
            "UPDATE requests SET response = $4"
            " WHERE principal = $1 AND method = $2 AND request_id = $3",
            self._principal,
            self._method,
            self._request_id,
            response,
        )
