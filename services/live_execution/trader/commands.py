"""Commands on their way to the trader, in order.

The stream holds what is not done: the API adds an entry with its outbox row, and the publisher
takes it out when the shipper has marked the row. So there is no group to share the entries; a
process begins at the beginning, and one that lost its lease takes none away from its successor.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import redis.asyncio
from google.protobuf.message import DecodeError
from redis.exceptions import ResponseError

from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_pb2 import TraderCommand
from meshkit.link import ERRORS, Link
from meshkit.redis_client import BLOCK_MS
from services.live_execution.trader.lease import Lease, stale
from services.live_execution.trader.line import Line

log = logging.getLogger("live_execution.trader.commands")

_COUNT = 64
_REMEMBERED = 100_000

TRIES = 3
"""How often a command may be under way while its trader's process dies."""

_FENCE = """
-- Notes the newest fence of a stream's readers; returns it.  KEYS fence  ARGV fence
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) > newest then
  redis.call('SET', KEYS[1], ARGV[1])
  return tonumber(ARGV[1])
end
return newest
"""

_OPEN = "SELECT command_id::text FROM commands WHERE command_id = ANY($1) AND state = 'ACCEPTED'"


class CommandReader:
    """Reads on the store thread. ``taken`` are ids that the journal has and PostgreSQL has not."""

    def __init__(
        self, client: redis.asyncio.Redis, line: Line, lease: Lease, taken: Sequence[str]
    ) -> None:
        self._client = client
        self.line = line
        self._lease = lease
        self._stream = lease.key.commands
        self._fence = client.register_script(_FENCE)
        self._link = Link(f"commands:{lease.key.project}:{lease.key.trader_id}")
        self._given = dict.fromkeys(taken, "")
        self._ready: deque[tuple[TraderCommand, bool]] = deque()
        self._last = "0-0"
        self._backlog = True
        self.submitters: dict[str, str] = {}
        """Who submitted an order by hand, by client order id."""

    async def next(self) -> tuple[TraderCommand, bool]:
        """Return the next command, and whether too many processes died with it.

        Waits for it however long Redis is away. Raises ``StaleFence`` when another process has
        the lease.
        """
        while not self._ready:
            if self._lease.lost:
                raise stale(self._lease.key, self._lease.fence)
            try:
                await self._turn()
                self._link.up()
            except ERRORS as error:
                await asyncio.sleep(self._link.down(error))
        command, seen_before = self._ready.popleft()
        return command, seen_before and await self._tries(command.command_id) > TRIES

    async def _turn(self) -> None:
        entries = await (self._read_backlog() if self._backlog else self._read())
        if self._lease.lost:
            return
        for _, command in entries:
            if command.command_id and command.command_id not in self._given:
                self._remember(command)
                self._ready.append((command, self._backlog))
        if entries:
            self._last = entries[-1][0]

    async def _read(self) -> list[tuple[str, TraderCommand]]:
        answer = await self._take(BLOCK_MS)
        if not answer:
            await self._look_back()
        return _entries(answer)

    async def _take(self, block: int | None) -> Any:
        """Read entries, and the newest fence after them, by one way to Redis and back."""
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.xread({self._stream: self._last}, count=_COUNT, block=block)
            pipeline.get(f"{self._stream}:fence")
            answer, newest = await pipeline.execute()
        ours = self._lease.fence
        if int(newest or 0) < ours:
            newest = await self._fence(keys=[f"{self._stream}:fence"], args=[ours])
        if int(newest) > ours:
            self._lease.lose()
        return answer

    async def _read_backlog(self) -> list[tuple[str, TraderCommand]]:
        """Return what an earlier process may have taken already, but for what it did take."""
        entries = _entries(await self._take(None))
        if not entries:
            self._backlog = False
            return []
        connection = await self.line.get()
        ids = [UUID(command.command_id) for _, command in entries if command.command_id]
        still = {row["command_id"] for row in await connection.fetch(_OPEN, ids)}
        done = [entry_id for entry_id, command in entries if command.command_id not in still]
        if done:  # a Redis that was put back has them again
            await self._client.xdel(self._stream, *done)
        self._last = entries[-1][0]
        return [each for each in entries if each[1].command_id in still]

    async def _look_back(self) -> None:
        """Begin again when the stream is another: Redis was emptied, and its clock set back."""
        try:
            info: Any = await self._client.xinfo_stream(self._stream)
            last = info["last-generated-id"].decode()
        except ResponseError:  # no such key
            last = "0-0"
        if _order(last) < _order(self._last):
            self._last, self._backlog = "0-0", True

    async def _tries(self, command_id: str) -> int:
        """Return how many processes have begun with a command, this one among them."""
        key = f"{self._stream}:tries"
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hincrby(key, command_id, 1)
                pipeline.expire(key, 24 * 3600)
                counts = await pipeline.execute()
        except ERRORS as error:
            self._link.down(error)
            return 0
        return int(counts[0])

    def _remember(self, command: TraderCommand) -> None:
        _keep(self._given, command.command_id, "")
        for ticket in command.submit.orders:
            _keep(self.submitters, ticket.client_order_id, command.submitter)


def taken_ids(facts: Sequence[tuple[int, bytes]]) -> list[str]:
    """Return the ids of the commands that facts tell of."""
    parsed = (TraderFact.FromString(body) for _, body in facts)
    return [fact.command.command_id for fact in parsed if fact.WhichOneof("fact") == "command"]


def _entries(answer: Any) -> list[tuple[str, TraderCommand]]:
    found = []
    for entry_id, fields in (raw for _, raws in answer or () for raw in raws):
        try:
            command = TraderCommand.FromString((fields or {}).get(b"p", b""))
            UUID(command.command_id)
        except (DecodeError, ValueError):
            log.warning("an entry is no command", extra={"entry": entry_id.decode()})
            command = TraderCommand()  # never open, never given
        found.append((entry_id.decode(), command))
    return found


def _order(entry_id: str) -> tuple[int, int]:
    millis, _, count = entry_id.partition("-")
    return int(millis), int(count)


def _keep(known: dict[str, str], key: str, value: str) -> None:
    known[key] = value
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]
