"""Watch on a real PostgreSQL and Valkey: nothing lost, nothing twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from integration.streams.kit import STREAM, Valkey, happen, tell, text_of, until
from mesh.events.v1.events_pb2 import Event
from meshkit import facts
from meshkit.context import Caller, set_caller
from meshkit.database import Database
from meshkit.errors import CursorTrimmed, Draining, InvalidCursor, TokenExpired
from meshkit.publisher import Publisher
from meshkit.watch import Batch, Checkpoint, WatchHub

NEVER = float("inf")


@pytest.fixture
async def hub(database: Database, client: redis.asyncio.Redis) -> AsyncIterator[WatchHub]:
    """Give a hub with a publisher that feeds Redis."""
    async with Publisher(database, client), WatchHub(database, client, [STREAM]) as opened:
        yield opened


class Watcher:
    """A client of Watch that keeps what it got."""

    def __init__(self, hub: WatchHub, cursor: str = "", **options: Any) -> None:
        options = {"filter_hash": "f", "expires_at": NEVER, **options}
        self._items = hub.watch(STREAM, cursor=cursor, **options)
        self.texts: list[str] = []
        self.cursor = ""
        self.cursors: list[str] = []

    async def step(self) -> Checkpoint | Batch:
        """Take the next item."""
        item = await asyncio.wait_for(anext(self._items), 10)
        self.cursor = item.cursor
        if isinstance(item, Batch):
            self.texts += [text_of(event) for event in item.events]
            self.cursors.append(item.cursor)
        return item

    async def take(self, count: int) -> list[str]:
        """Take items until so many events have come."""
        while len(self.texts) < count:
            await self.step()
        return self.texts

    async def attach(self) -> "Watcher":
        """Take the first item, which is a checkpoint."""
        assert isinstance(await self.step(), Checkpoint)
        return self


async def test_a_watcher_begins_at_the_head(database: Database, hub: WatchHub) -> None:
    """Without a cursor only what comes after the first checkpoint is told."""
    await happen(database, "before")
    watcher = await Watcher(hub).attach()
    await happen(database, "a", "b")
    assert await watcher.take(2) == ["a", "b"]


async def test_every_cursor_resumes(database: Database, hub: WatchHub) -> None:
    """From the cursor after each event just the later ones come."""
    texts = [str(i) for i in range(8)]
    watcher = await Watcher(hub).attach()
    cursors = [watcher.cursor]
    for count, text in enumerate(texts, 1):
        await happen(database, text)
        await watcher.take(count)
        cursors.append(watcher.cursor)
    await happen(database, "last")
    for seen, cursor in enumerate(cursors):
        resumed = await Watcher(hub, cursor).attach()
        assert await resumed.take(9 - seen) == [*texts, "last"][seen:]


async def test_a_filter_moves_the_cursor_on(database: Database, hub: WatchHub) -> None:
    """Events of others are not told, and a checkpoint passes them."""

    def accept(event: Event) -> bool:
        return event.subject.startswith("mine")

    watcher = await Watcher(hub, accept=accept, checkpoint_s=0.2).attach()
    await happen(database, "theirs", "mine-1")
    assert await watcher.take(1) == ["mine-1"]
    await happen(database, "theirs")
    while watcher.cursor in watcher.cursors:
        assert isinstance(await watcher.step(), Checkpoint)
    await happen(database, "mine-2")
    resumed = Watcher(hub, watcher.cursor, accept=accept)
    assert await resumed.take(1) == ["mine-2"]


async def test_cursors_that_are_not_ours(database: Database, hub: WatchHub) -> None:
    """A damaged cursor, one of another filter and one of another log are refused."""
    await happen(database, "a")
    cursor = (await Watcher(hub).attach()).cursor
    damaged = cursor[:-6] + ("A" if cursor[-6] != "A" else "B") + cursor[-5:]
    for bad in ("x", "é", "AAAA", damaged, cursor[:-4]):
        with pytest.raises(InvalidCursor, match="damaged"):
            await Watcher(hub, bad).step()
    with pytest.raises(InvalidCursor, match="another filter"):
        await Watcher(hub, cursor, filter_hash="g").step()
    async with database.transaction() as connection:
        await connection.execute("UPDATE stream_heads SET number = 0")
    with pytest.raises(InvalidCursor, match="ahead"):
        await Watcher(hub, cursor).step()
    async with database.transaction() as connection:
        await connection.execute("UPDATE stream_origin SET origin = 'new'")
    async with WatchHub(database, hub._client, [STREAM]) as other:
        with pytest.raises(InvalidCursor, match="another log"):
            await Watcher(other, cursor).step()


async def test_a_trimmed_cursor_is_told_the_oldest(database: Database, hub: WatchHub) -> None:
    """A cursor older than what is kept is refused, and the one in the metadata works."""
    watcher = await Watcher(hub).attach()
    await happen(database, *"abcd")
    async with database.transaction() as connection:
        await facts.trim(connection, STREAM, 3)
    with pytest.raises(CursorTrimmed) as refused:
        await Watcher(hub, watcher.cursor).step()
    oldest = await Watcher(hub, refused.value.metadata["oldest_cursor"]).attach()
    assert await oldest.take(2) == ["c", "d"]


async def test_a_watcher_too_slow_for_retention_is_told(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A watcher that is overtaken by trimming ends with the oldest cursor, without a silent gap."""
    async with WatchHub(database, client, [STREAM], poll=0.05) as hub:
        watcher = await Watcher(hub).attach()
        async with database.transaction() as connection:  # appended and trimmed in one go
            for text in "abcd":
                await tell(connection, text)
            await facts.trim(connection, STREAM, 3)
        with pytest.raises(CursorTrimmed) as refused:
            await watcher.take(1)
        assert await Watcher(hub, refused.value.metadata["oldest_cursor"]).take(2) == ["c", "d"]


async def test_checkpoints_come_when_nothing_happens(hub: WatchHub) -> None:
    """A quiet stream is told to be alive."""
    watcher = await Watcher(hub, checkpoint_s=0.05).attach()
    for _ in range(3):
        assert isinstance(await watcher.step(), Checkpoint)


async def test_a_watch_ends_with_its_token(database: Database, hub: WatchHub) -> None:
    """At the token's expiry a last checkpoint comes, then the error; the cursor resumes."""
    set_caller(Caller("somebody", frozenset(), ("default",), time.time() + 0.3, ""))
    watcher = await Watcher(hub, expires_at=None).attach()
    await happen(database, "a")
    await watcher.take(1)
    assert isinstance(await watcher.step(), Checkpoint)
    with pytest.raises(TokenExpired):
        await watcher.step()
    await happen(database, "b")
    assert await Watcher(hub, watcher.cursor).take(1) == ["b"]


async def test_a_watch_ends_when_the_server_drains(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """On drain every watcher gets a last checkpoint and the reason."""
    draining = asyncio.Event()
    async with WatchHub(database, client, [STREAM], draining=draining) as hub:
        watcher = await Watcher(hub).attach()
        draining.set()
        assert isinstance(await watcher.step(), Checkpoint)
        with pytest.raises(Draining):
            await watcher.step()


async def test_a_slow_watcher_gets_all_from_postgresql(
    database: Database, hub: WatchHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watcher that fell out of the memory of the process reads on in PostgreSQL."""
    monkeypatch.setattr(hub._rings[STREAM], "_longest", 10)
    watcher = await Watcher(hub).attach()
    texts = [str(i) for i in range(100)]
    await happen(database, *texts)
    await until(lambda: _place(hub, 100))
    assert len(hub._rings[STREAM]._events) == 10
    assert await watcher.take(100) == texts


async def test_a_watch_needs_no_redis(database: Database, hub: WatchHub, valkey: Valkey) -> None:
    """With Redis away events come from PostgreSQL; when it is back nothing comes twice."""
    watcher = await Watcher(hub).attach()
    await happen(database, "a")
    await watcher.take(1)
    valkey.kill()
    await happen(database, "b")
    assert await watcher.take(2) == ["a", "b"]
    valkey.start()
    await happen(database, "c")
    assert await watcher.take(3) == ["a", "b", "c"]


async def test_old_numbers_in_redis_are_no_facts(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A Redis that outlived its database tells a new hub nothing."""
    await client.xadd(STREAM, {"e": Event(subject="ghost").SerializeToString()}, id="1-0")
    async with WatchHub(database, client, [STREAM]) as hub, Publisher(database, client):
        watcher = await Watcher(hub).attach()
        await happen(database, "real")
        assert await watcher.take(1) == ["real"]


async def test_an_entry_that_is_no_fact_stops_nobody(
    database: Database, hub: WatchHub, client: redis.asyncio.Redis
) -> None:
    """What somebody else put into the stream is passed by; PostgreSQL has the truth."""
    watcher = await Watcher(hub).attach()
    await happen(database, "a")
    await watcher.take(1)
    await client.xadd(STREAM, {"what": "nonsense"}, id="2-0")
    await happen(database, "b", "c")
    assert await watcher.take(3) == ["a", "b", "c"]


@asynccontextmanager
async def _two_hubs(database: Database, client: Any) -> AsyncIterator[tuple[WatchHub, WatchHub]]:
    async with WatchHub(database, client, [STREAM]) as a, WatchHub(database, client, [STREAM]) as b:
        yield a, b


async def test_a_cursor_works_on_another_replica(
    database: Database, client: redis.asyncio.Redis
) -> None:
    """A watcher that loses its server goes on at another one."""
    async with Publisher(database, client), _two_hubs(database, client) as (one, two):
        watcher = await Watcher(one).attach()
        await happen(database, "a")
        await watcher.take(1)
        await happen(database, "b")
        assert await Watcher(two, watcher.cursor).take(1) == ["b"]


async def _place(hub: WatchHub, wanted: int) -> bool:
    return hub._rings[STREAM].place == wanted
