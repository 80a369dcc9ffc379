"""What the groups of calls share: the connection, the project, paging."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio

from meshclient.connection import Connection
from meshclient.errors import MeshClientError


class Group:
    """Calls of one service. ``project`` is sent with requests; empty means the key's first."""

    def __init__(self, connection: Connection, channel: grpc.aio.Channel, project: str) -> None:
        self._connection = connection
        self._project = project
        self._stub: Any = self._make_stub(channel)

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        raise NotImplementedError

    async def _call(self, method: str, request: Any) -> Any:
        return await self._connection.unary(getattr(self._stub, method), request)

    async def _pages(
        self, method: str, request: Any, items: str, limit: int | None
    ) -> AsyncIterator[Any]:
        """Yield the items of all pages, at most ``limit``; ``items`` is the reply's field."""
        left = limit
        while left is None or left > 0:
            request.page_size = min(left or 500, 500)
            reply = await self._call(method, request)
            for item in getattr(reply, items)[:left]:
                yield item
            if left is not None:
                left -= len(getattr(reply, items))
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token


def only(ids: Sequence[str], prefix: str, what: str, reason: str) -> str:
    """Return the one id that begins so; raises ``reason`` when none or several do."""
    found = [each for each in ids if each.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    raise MeshClientError(
        f"{len(found) or 'No'} {what} begin with '{prefix}'.",
        code="INVALID_ARGUMENT" if found else "NOT_FOUND",
        reason=reason,
    )


def new_request_id() -> str:
    """Return an id for a change; it stays the same over all retries of the call."""
    return str(uuid.uuid4())
