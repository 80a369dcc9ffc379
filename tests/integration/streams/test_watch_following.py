"""Watchers of streams that come and go while they watch."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio

from integration.streams.kit import STREAM, Valkey, happen, tell, text_of, until
from meshkit import facts
from meshkit.database import Database
from meshkit.errors import CursorTrimmed, InvalidCursor
from meshkit.publisher import Publisher
from meshkit.watch import Batch, WatchHub

NEVER = float("inf")


def ours(stream: str) -> bool:
    """Whether a stream is one of the project's."""
    return stream.startswith(f"{STREAM}:p:")


def of(name: str) -> str:
    """Return the stream of a name in the project."""
    return f"{STREAM}:p:{name}"


@pytest.fixture
async def hub(database: Database, client: redis.asyncio.Redis) -> AsyncIterator[WatchHub]:
    """Give a hub with a publisher that feeds Redis."""
    async with (
        Publisher(database, client),
        WatchHub(database, client, [STREAM], poll=0.1) as opened,
    ):
        yield opened


class Follower:
    """A client that watches the main stream and all of a project's, and keeps what it got."""

    def __init__(self, hub: WatchHub, cursor: str = "", **more: Any) -> None:
        options = {"filter_hash": "f", "expires_at": NEVER, "follow": ours, **more}
        self.items = hub.watch(STREAM, cursor=cursor, **options)
        self.texts: list[str] = []
        self.cursors: list[str] = []

    async def attach(self) -> "Follower":
        """Take the first item."""
        self.cursors.append((await asyncio.wait_for(anext(self.items), 10)).cursor)
        return self

    async def take(self, count: int) -> list[str]:
        """Take items until so many events have come; they are sorted, streams have no order."""
        while len(self.texts) < count:
            item = await asyncio.wait_for(anext(self.items), 10)
            self.cursors.append(item.cursor)
            if isinstance(item, Batch):
                self.texts += [text_of(event) for event in item.events]
        return sorted(self.texts)


async def test_streams_that_come_are_told_from_their_beginning(
    database: Database, hub: WatchHub
) -> None:
    """A watcher of all is told what is new in old streams, and all of new ones; others' never."""
    await happen(database, "before", stream=of("a"))
    follower = await Follower(hub).attach()
    await happen(database, "a2", stream=of("a"))
    await happen(database, "b1", "b2", stream=of("b"))
    await happen(database, "x", stream=f"{STREAM}:other:x")
    await happen(database, "main")
    assert await follower.take(4) == ["a2", "b1", "b2", "main"]
    await happen(database, "b3", stream=of("b"))
    await happen(database, "c1", stream=of("c"))
    assert await follower.take(6) == ["a2", "b1", "b2", "b3", "c1", "main"]


async def test_every_cursor_resumes_over_new_streams(database: Database, hub: WatchHub) -> None:
    """From each cursor all that came later comes once, of streams that it does not know as well."""
    follower = await Follower(hub).attach()
    told = []
    for number in range(4):
        for name in "abcd"[: number + 1]:
            told.append(f"{name}{number}")
            await happen(database, told[-1], stream=of(name))
            await follower.take(len(told))
    await happen(database, "e1", stream=of("e"))
    seen = 0
    for cursor in follower.cursors:
        resumed = await Follower(hub, cursor).attach()
        rest = await resumed.take(len(told) + 1 - seen)
        assert rest == sorted([*told, "e1"][seen:])
        await resumed.items.aclose()  # type: ignore[attr-defined]  # it is a generator
        seen = min(seen + 1, len(told))


async def test_streams_that_go_are_dropped(database: Database, hub: WatchHub) -> None:
    """A stream that is deleted leaves watchers and cursors; one that comes back begins anew."""
    follower = await Follower(hub).attach()
    await happen(database, "a1", stream=of("a"))
    await happen(database, "b1", stream=of("b"))
    await follower.take(2)
    behind = await Follower(hub, follower.cursors[0]).attach()  # it has yet to take a1
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM facts WHERE stream = $1", of("a"))
        await tx.execute("DELETE FROM stream_heads WHERE stream = $1", of("a"))
    await happen(database, "b2", stream=of("b"))
    assert await follower.take(3) == ["a1", "b1", "b2"]
    assert set(await behind.take(2)) >= {"b1", "b2"}
    resumed = await Follower(hub, follower.cursors[-2]).attach()
    assert "b2" in await resumed.take(1)
    async with database.transaction() as tx:  # as a trader that is made anew under its id
        await tx.execute(
            "INSERT INTO stream_heads (stream, number, fence, kept_from) VALUES ($1, 7, 0, 8)",
            of("a"),
        )
        await tell(tx, "a8", stream=of("a"))
    assert await follower.take(4) == ["a1", "a8", "b1", "b2"]


async def test_a_trimmed_cursor_of_many_streams(database: Database, hub: WatchHub) -> None:
    """The oldest usable cursor is right in each stream: nothing kept is lost, nothing is twice."""
    follower = await Follower(hub).attach()
    for name in "ab":
        await happen(database, *(f"{name}{n}" for n in range(1, 5)), stream=of(name))
    await follower.take(8)
    async with database.transaction() as tx:
        await facts.trim(tx, of("a"), 3)
    first = follower.cursors[0]
    assert await (await Follower(hub, first).attach()).take(6) == sorted(
        ["a3", "a4", "b1", "b2", "b3", "b4"]
    )
    middle = await Follower(hub).attach()
    await happen(database, "a5", "a6", "a7", stream=of("a"))
    await middle.take(3)
    async with database.transaction() as tx:
        await facts.trim(tx, of("a"), 7)
    with pytest.raises(CursorTrimmed) as refused:
        await Follower(hub, middle.cursors[0]).attach()
    resumed = await Follower(hub, refused.value.metadata["oldest_cursor"]).attach()
    assert await resumed.take(1) == ["a7"]


async def test_a_cursor_of_other_streams(database: Database, hub: WatchHub) -> None:
    """A cursor with a stream that is not wanted is refused, a long one is packed and works."""
    for number in range(60):
        await happen(database, "x", stream=of(f"{number:03d}-with-a-longer-name"))
    follower = await Follower(hub).attach()
    assert len(follower.cursors[0]) < 1200
    await happen(database, "y", stream=of("000-with-a-longer-name"))
    assert await (await Follower(hub, follower.cursors[0]).attach()).take(1) == ["y"]
    with pytest.raises(InvalidCursor, match="other streams"):
        await Follower(hub, follower.cursors[0], follow=lambda s: s.endswith("1")).attach()
    with pytest.raises(InvalidCursor):
        await Follower(hub, follower.cursors[0][:-8]).attach()


async def test_what_nobody_watches_is_not_kept(
    database: Database, hub: WatchHub, valkey: Valkey
) -> None:
    """Streams are followed in Redis while somebody watches, new ones without Redis as well."""
    followers = [await Follower(hub).attach() for _ in range(2)]
    await happen(database, "a1", stream=of("a"))
    for follower in followers:
        await follower.take(1)
    await until(lambda: _followed(hub, of("a"), True))
    valkey.kill()
    await happen(database, "b1", stream=of("b"))
    for follower in followers:
        assert await follower.take(2) == ["a1", "b1"]
        await follower.items.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert await _followed(hub, of("a"), False)
    valkey.start()


async def _followed(hub: WatchHub, stream: str, wanted: bool) -> bool:
    return (stream in hub._rings) is wanted
