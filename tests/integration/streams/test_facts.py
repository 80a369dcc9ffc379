"""The numbered fact log, on a real PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from integration.streams.kit import STREAM, happen, tell, text_of
from mesh.events.v1.events_pb2 import Event
from meshkit import context, facts
from meshkit.database import Database
from meshkit.facts import FactLog, Head, HeadMoved, StaleFence


async def test_numbers_have_no_holes_and_follow_commits(database: Database) -> None:
    """Twenty writers at once, every third one giving up: what is there is numbered from 1."""

    async def write(index: int) -> None:
        async with database.transaction() as connection:
            await tell(connection, str(index))
            if index % 3 == 0:
                raise LookupError

    done = await asyncio.gather(*(write(i) for i in range(20)), return_exceptions=True)
    async with database.connection() as connection:
        found = await facts.read(connection, STREAM, 0)
    assert [fact.number for fact in found] == list(range(1, done.count(None) + 1))


async def test_many_facts_and_their_changes_are_one_step(database: Database) -> None:
    """Facts numbered by their writer go on from the head, with what they change; where the head
    is another, or the fence is stale, neither happens.
    """
    note = "INSERT INTO consumed (consumer, event_id) SELECT {0}, {1} FROM head"
    async with database.connection() as connection:

        async def append(first: int, fence: int, name: str) -> None:
            events = [b"one", b"two"]
            also = [(note, ["group", name])]
            await facts.append_many(connection, STREAM, first, events, fence=fence, also=also)

        await append(1, 1, "first")
        await append(3, 2, "second")
        for first in (2, 4, 6):
            with pytest.raises(HeadMoved):
                await append(first, 2, "moved")
        with pytest.raises(StaleFence):
            await append(5, 1, "stale")
        with pytest.raises(HeadMoved):
            await facts.append_many(connection, "facts:testing:other", 2, [b"hole"])
        found = await facts.read(connection, STREAM, 0)
        names = await connection.fetch("SELECT event_id FROM consumed ORDER BY event_id")
    assert [fact.number for fact in found] == [1, 2, 3, 4]
    assert [row["event_id"] for row in names] == ["first", "second"]


async def test_an_event_says_who_what_and_why(database: Database) -> None:
    """The envelope is whole, and carries the ids of the call that caused it."""
    context.set_ids("request-1", "trace-1")
    await happen(database, "hello", fence=3)
    async with database.connection() as connection:
        (fact,) = await facts.read(connection, STREAM, 0)
    event = Event.FromString(fact.event)
    assert (event.stream, event.number, event.fence) == (STREAM, 1, 3)
    assert (event.owner, event.project, event.subject) == ("somebody", "default", "hello")
    assert (event.request_id, event.traceparent) == ("request-1", "trace-1")
    assert len(event.event_id) == 36
    assert event.time.seconds > 0
    assert text_of(event) == "hello"


async def test_a_stale_fence_is_refused(database: Database) -> None:
    """A writer that was replaced can neither append nor commit."""
    await happen(database, "old", fence=1)
    await happen(database, "new", fence=2)
    with pytest.raises(StaleFence, match="taken over"):
        await happen(database, "ghost", fence=1)
    async with database.connection() as connection:
        assert len(await facts.read(connection, STREAM, 0)) == 2


async def test_a_writer_keeps_to_its_streams(database: Database) -> None:
    """A stream has one writer, and a fact belongs to a transaction."""
    log = FactLog("test")  # a prefix of "testing", and not its owner
    async with database.connection() as connection:
        with pytest.raises(ValueError, match="not a stream of"):
            await log.append(connection, STREAM, subject="", owner="", project="", payload=Event())
        with pytest.raises(RuntimeError, match="transaction"):
            await tell(connection, "loose")


async def test_trimming_moves_the_oldest(database: Database) -> None:
    """Facts below a number go, in bounded steps; the head stays."""
    await happen(database, *"abcdef")
    async with database.transaction() as connection:
        assert await facts.first_younger(connection, STREAM, timedelta(days=1)) == 1
        assert await facts.first_younger(connection, STREAM, timedelta(0)) == 7
        assert await facts.trim(connection, STREAM, 5, most=3) == 3
        assert await facts.heads(connection) == [Head(STREAM, 6, 4)]
        assert await facts.trim(connection, STREAM, 5) == 1
        assert await facts.trim(connection, STREAM, 5) == 0
        assert [fact.number for fact in await facts.read(connection, STREAM, 0)] == [5, 6]
