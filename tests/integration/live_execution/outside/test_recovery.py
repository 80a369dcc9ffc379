"""What a trader knows when it begins again: journal, PostgreSQL and snapshots."""

import shutil
from pathlib import Path

import pytest

from integration.live_execution.outside.kit import KEY, World, initialized, until
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.order_pb2 import Order
from services.live_execution.trader.errors import JournalBroken
from services.live_execution.trader.journal import Journal
from services.live_execution.trader.journal_file import scan
from services.live_execution.trader.ports import Restored


async def _restored(world: World) -> tuple[Restored, int]:
    async with world.outside() as outside:
        return await outside.restored(), outside.fence


async def _live(world: World, *names: str) -> None:
    async with world.outside() as outside:
        for name in names:
            outside.record(initialized(name))


def _names(restored: Restored) -> list[str]:
    return [TraderFact.FromString(body).order.client_order_id for _, body in restored.facts]


def _journal(world: World) -> Path:
    return world.folder / "journal"


async def test_ex_102_facts_are_those_of_all_lives_in_order(world: World) -> None:
    """EX-102: each life begins with all facts before it, and a higher fence."""
    empty, first = await _restored(world)
    assert (empty.number, empty.snapshot, empty.facts) == (0, b"", [])
    await _live(world, "a", "b")
    await _live(world, "c")
    restored, last = await _restored(world)
    assert _names(restored) == ["a", "b", "c"]
    assert (restored.number, last) == (3, first + 3)
    assert list(restored.facts) == await world.stored()


async def test_ex_103_what_was_not_shipped_is_in_the_journal(world: World) -> None:
    """EX-103: facts that PostgreSQL lacks are recovered, and shipped by the successor."""
    await _live(world, "a")
    behind = Journal(_journal(world), 7, 2, scan(_journal(world)))
    behind.append([initialized("b").SerializeToString(), initialized("c").SerializeToString()])
    restored, fence = await _restored(world)
    assert _names(restored) == ["a", "b", "c"]
    assert fence == 8
    assert list(restored.facts) == await world.stored()
    rows = await world.connection.fetch("SELECT body FROM orders ORDER BY client_order_id")
    assert [Order.FromString(row["body"]).fact_number for row in rows] == [1, 2, 3]


async def test_ex_104_a_lost_journal_begins_at_the_head(world: World) -> None:
    """EX-104: a journal whose host was lost goes on from what PostgreSQL has."""
    await _live(world, "a", "b")
    shutil.rmtree(_journal(world))
    restored, _ = await _restored(world)
    assert _names(restored) == ["a", "b"]
    await _live(world, "c")
    assert [n for n, _ in await world.stored()] == [1, 2, 3]


async def test_ex_104_an_old_journal_yields_to_what_another_host_wrote(world: World) -> None:
    """EX-104: numbers that a successor elsewhere gave anew count, those left in the file do not."""
    await _live(world, "a")
    here = _journal(world)
    lost = Journal(here, 2, 2, scan(here))
    lost.append([initialized(name).SerializeToString() for name in ("ghost", "ghost2", "ghost3")])
    await world.connection.execute("UPDATE traders SET fence = 2")
    here.rename(world.folder / "other host")
    await _live(world, "b", "c")
    shutil.rmtree(here)
    (world.folder / "other host").rename(here)
    restored, _ = await _restored(world)
    assert _names(restored) == ["a", "b", "c"]


async def test_ex_105_a_hole_is_refused(world: World) -> None:
    """EX-105: facts that neither has are not passed over."""
    await _live(world, "a", "b", "c")
    await world.connection.execute("DELETE FROM facts WHERE number = 1")
    shutil.rmtree(_journal(world))
    with pytest.raises(JournalBroken, match="Facts from 1 to 1"):
        await _restored(world)
    lease = await world.connection.fetchval("SELECT lease_until < now() FROM traders")
    assert lease, "who cannot begin gives the lease up"


async def test_ex_105_two_accounts_of_one_fact_are_refused(world: World) -> None:
    """EX-105: a fact told differently by journal and database, by the same process, is a fault."""
    await _live(world, "a")
    await world.connection.execute("DELETE FROM facts")
    await world.connection.execute("UPDATE stream_heads SET number = 0")
    journal = _journal(world)
    await _live(world, "b")  # ships a as fact 1 again, b as 2
    shutil.rmtree(journal)
    journal.mkdir()
    Journal(journal, 9, 1).append([initialized("other").SerializeToString()])
    with pytest.raises(JournalBroken, match="differ in fact 1"):
        await _restored(world)


async def test_a_trader_made_again_goes_on_numbering(world: World) -> None:
    """A stream whose facts are of a deleted trader of the id begins after them."""
    await world.connection.execute(
        "INSERT INTO stream_heads (stream, number, fence, kept_from) VALUES ($1, 40, 3, 41)",
        KEY.facts,
    )
    restored, _ = await _restored(world)
    assert (restored.number, list(restored.facts)) == (40, [])
    await _live(world, "a")
    assert [n for n, _ in await world.stored()] == [41]


async def test_ex_106_a_snapshot_replaces_what_is_before_it(world: World) -> None:
    """EX-106: the newest readable snapshot is given with the facts after it; older files go."""
    here = _journal(world)
    await _live(world, "a", "b")
    async with world.outside() as outside:
        outside.record(initialized("c"))
        outside.snapshot(b"up to b", 2)
        await until(lambda: len(scan(here)) == 1)  # the file of a and b is gone
        outside.snapshot(b"up to c", 3)
        outside.record(initialized("d"))
        await until(lambda: world.connection.fetchval("SELECT count(*) = 2 FROM snapshots"))
    restored, _ = await _restored(world)
    assert (restored.snapshot, restored.snapshot_number, restored.number) == (b"up to c", 3, 4)
    assert _names(restored) == ["d"]
    newest = max(here.glob("*.snapshot"))
    newest.write_bytes(newest.read_bytes()[:-1])  # torn
    await world.connection.execute("DELETE FROM snapshots WHERE number = 3")
    restored, _ = await _restored(world)
    assert (restored.snapshot, _names(restored)) == (b"up to b", ["c", "d"])
    shutil.rmtree(here)
    restored, _ = await _restored(world)
    assert (restored.snapshot, _names(restored)) == (b"up to b", ["c", "d"])
