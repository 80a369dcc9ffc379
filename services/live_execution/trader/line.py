"""A connection of one's own to PostgreSQL, made again when it broke."""

import asyncio
from contextlib import suppress

import asyncpg

SCHEMA = "live_execution"

CONNECT_S, COMMAND_S = 3.0, 5.0
"""Bounds on a server that hangs."""


class Line:
    """One connection, for one task at a time. ``settings`` are PostgreSQL's, for the session.

    ``name`` is that of the session, by which others find it.
    """

    def __init__(self, dsn: str, name: str, **settings: str) -> None:
        self._dsn = dsn
        self._settings = {
            "search_path": SCHEMA,
            "application_name": name,
            **settings,
        }
        self._connection: asyncpg.Connection | None = None

    async def get(self) -> asyncpg.Connection:
        """Return the connection, made anew when there is none. Raises what ``link.ERRORS`` has."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S,
                command_timeout=COMMAND_S,
                server_settings=self._settings,
            )
        return self._connection

    def drop(self) -> None:
        """Forget the connection: what it was doing is unknown."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None

    async def close(self) -> None:
        """Close politely, for a moment."""
        if self._connection is not None:
            with suppress(Exception):  # the server may be gone: then there is nobody to tell
                async with asyncio.timeout(1.0):
                    await self._connection.close()
        self.drop()
