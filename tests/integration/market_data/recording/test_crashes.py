"""Recorders that are killed, disks that are full, databases that are away: MD-85 to MD-87."""

import asyncio
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from integration.market_data.recording.conftest import (
    FEED,
    PROJECT,
    QUICK,
    Lab,
    ScriptedVenue,
    definition,
    until,
)
from integration.market_data.recording.relay import Relay
from integration.market_data.recording.rows import ID, batches_of, channel_of, trade
from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from services.market_data.live.recording.journal import Journal, Record
from services.market_data.live.recording.taking import series_of
from services.market_data.main import MIGRATIONS

DYING = Path(__file__).with_name("dying_recorder.py")
ROOT = Path(__file__).parents[4]
PLACES = ("torn", "taken", "staged", "deciding", "decided", "let go")


@pytest.mark.parametrize("place", PLACES)
async def test_md85_a_killed_recorder_loses_and_doubles_nothing(
    lab: Lab, database_url: str, place: str
) -> None:
    """MD-85: whatever was seen is in the catalog once, after kill -9 at any place of the way."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(DYING), place, database_url, str(lab.folder)),
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/libs:{ROOT}/tests"},
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    seen = (lab.folder / "seen").read_text().split()
    assert len(seen) == 70
    channel = channel_of("TRADE_TICK")
    async with lab.life():
        stored = await lab.stored(series_of(channel))
        assert stored["trade_id"].to_pylist() == seen
        await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", [trade(2_000)]))
        assert (await lab.read(channel))["trade_id"].to_pylist() == [*seen, "2000"]
        (gap,) = await lab.gaps(channel)
        assert (gap.cause, gap.first_event) == ("FEED_RESTARTED", trade(69).ts_event)
    assert not list((lab.folder / "journal").iterdir())


@contextmanager
def no_larger_files(size: int) -> Iterator[None]:
    """Refuse to write beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_md86_a_full_disk_is_waited_out(lab: Lab) -> None:
    """MD-86a: what the disk does not take is held and written when it does; nothing is lost."""
    lab.limits = replace(QUICK, interval=3_600.0)
    batches = batches_of("TRADE_TICK", [trade(number) for number in range(5_000)])
    async with lab.life() as recorder:
        channel = await lab.start("TRADE_TICK")
        with no_larger_files(16_384):
            lab.take(channel, batches)
            reason, message = recorder.problem(PROJECT, FEED, channel)
        assert (reason, "cannot be written" in message) == ("RECORDING_STALLED", True)
        ids = (await lab.read(channel))["trade_id"].to_pylist()
        assert ids == [str(number) for number in range(5_000)]
        assert not await lab.gaps(channel)


async def test_md86_without_room_a_gap_is_said(lab: Lab) -> None:
    """MD-86b: beyond the bound of the journal rows are left out, and that is a recorded gap."""
    lab.limits = replace(QUICK, interval=3_600.0, journal=20_000)
    trades = [trade(number) for number in range(2_000)]
    async with lab.life() as recorder:
        channel = await lab.start("TRADE_TICK")
        lab.take(channel, batches_of("TRADE_TICK", trades[:1_990]))
        assert recorder.problem(PROJECT, FEED, channel)[0] == "RECORDING_STALLED"
        kept = (await lab.read(channel))["trade_id"].to_pylist()
        assert 0 < len(kept) < 1_990
        lab.limits = QUICK
        lab.take(channel, batches_of("TRADE_TICK", trades[1_990:]))
        assert (await lab.read(channel)).num_rows == len(kept) + 10
        (gap,) = await lab.gaps(channel)
        assert (gap.cause, gap.from_init) == ("RECORDING_STALLED", trades[len(kept) - 1].ts_init)
        assert gap.to_init == trades[1_990].ts_init


async def test_md87_a_database_that_is_away_stalls_and_loses_nothing(
    database_url: str, tmp_path: Path, stores_folder: Path
) -> None:
    """MD-87: the recording says that it stalls, readers get UNAVAILABLE, and all comes in after."""
    relay = Relay(database_url, Path(tempfile.mkdtemp(dir=stores_folder)))
    await relay.mend()
    async with Database.open(relay.dsn, schema="market_data", migrations=MIGRATIONS) as database:
        lab = Lab(database, tmp_path, ScriptedVenue({str(ID): definition()}))
        async with lab.life() as recorder:
            channel = await lab.start("TRADE_TICK")
            lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
            await lab.read(channel)
            await relay.cut()
            lab.take(channel, batches_of("TRADE_TICK", [trade(2)]))
            await until(lambda: recorder.problem(PROJECT, FEED, channel)[0] == "RECORDING_STALLED")
            with pytest.raises(StoreUnavailable):
                await recorder.flush(PROJECT, series_of(channel))
            await relay.mend()
            await until(lambda: recorder.problem(PROJECT, FEED, channel) == ("", ""))
            assert (await lab.read(channel))["trade_id"].to_pylist() == ["1", "2"]
            assert not await lab.gaps(channel)
    await relay.cut()


async def test_md87_a_lost_answer_to_a_commit_loses_and_doubles_nothing(
    database_url: str, tmp_path: Path, stores_folder: Path
) -> None:
    """MD-87b: a commit that was done, and whose answer was lost with the connection, counts."""
    relay = Relay(database_url, Path(tempfile.mkdtemp(dir=stores_folder)))
    await relay.mend()
    async with Database.open(relay.dsn, schema="market_data", migrations=MIGRATIONS) as database:
        lab = Lab(database, tmp_path, ScriptedVenue({str(ID): definition()}))
        lab.limits = replace(QUICK, interval=3_600.0)
        async with lab.life() as recorder:
            channel = await lab.start("TRADE_TICK")
            lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
            await lab.read(channel)
            lab.take(channel, batches_of("TRADE_TICK", [trade(2)]))
            relay.deaf = True
            with suppress(StoreUnavailable):
                await recorder.flush(PROJECT, series_of(channel))
            assert not relay.deaf
            assert (await lab.read(channel))["trade_id"].to_pylist() == ["1", "2"]
            lab.take(channel, batches_of("TRADE_TICK", [trade(3)]))
            assert (await lab.read(channel))["trade_id"].to_pylist() == ["1", "2", "3"]
    await relay.cut()


async def test_md87_a_recording_that_begins_while_the_database_is_away(
    database_url: str, tmp_path: Path, stores_folder: Path
) -> None:
    """MD-87c: it begins at once, says why nothing is written, and is written later."""
    relay = Relay(database_url, Path(tempfile.mkdtemp(dir=stores_folder)))
    await relay.mend()
    async with Database.open(relay.dsn, schema="market_data", migrations=MIGRATIONS) as database:
        lab = Lab(database, tmp_path, ScriptedVenue({str(ID): definition()}))
        async with lab.life() as recorder:
            await relay.cut()
            channel = await lab.start("TRADE_TICK")
            lab.take(channel, batches_of("TRADE_TICK", [trade(1)]))
            await until(lambda: recorder.problem(PROJECT, FEED, channel)[0] == "RECORDING_STALLED")
            await relay.mend()
            await until(lambda: recorder.problem(PROJECT, FEED, channel) == ("", ""))
            assert (await lab.read(channel))["trade_id"].to_pylist() == ["1"]
            async with database.connection() as tx:
                assert await tx.fetchval("SELECT active FROM recordings")
    await relay.cut()


async def test_a_journal_that_is_small_is_never_full_of_what_is_done(lab: Lab) -> None:
    """What was written to the catalog makes room, however little the journal may hold."""
    lab.limits = replace(QUICK, journal=20_000)
    async with lab.life():
        channel = await lab.start("TRADE_TICK")
        for first in range(0, 2_000, 50):
            trades = [trade(number) for number in range(first, first + 50)]
            lab.take(channel, batches_of("TRADE_TICK", trades))
            await lab.recorder.flush(PROJECT, series_of(channel))
        assert len(await lab.read(channel)) == 2_000
        assert not await lab.gaps(channel)


def test_a_damaged_journal_is_cut_at_the_damage(tmp_path: Path) -> None:
    """A record whose bytes changed ends its segment; those before it and other segments stay."""
    journal = Journal(tmp_path, segment_bytes=200)
    assert not list(journal.recover())
    places = [journal.append(_record(number)) for number in range(8)]
    assert len(list(tmp_path.iterdir())) > 2
    journal.close()
    first = places[0].segment.path
    content = bytearray(first.read_bytes())
    content[places[1].offset] ^= 1
    first.write_bytes(content)
    again = Journal(tmp_path, segment_bytes=200)
    owners = [record.owner for record, _ in again.recover()]
    inside = [n for n, place in enumerate(places) if place.segment is places[0].segment]
    assert owners == ["0", *(str(n) for n in range(8) if n not in inside)]
    assert again.next == 9
    again.close()


def _record(number: int) -> Record:
    return Record("rows", "p", "f", str(number), "TRADE_TICK", "X.Y", "", 1, b"x" * 40)
