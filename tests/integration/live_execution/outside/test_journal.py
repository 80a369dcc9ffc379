"""The files of a journal, torn and full."""

import asyncio
import resource
from pathlib import Path

import pytest

from services.live_execution.trader import feed as feeds
from services.live_execution.trader.errors import JournalBroken
from services.live_execution.trader.feed import Feed
from services.live_execution.trader.journal import Journal, Reader
from services.live_execution.trader.journal_file import HEADER_SIZE, Segment, frame, read, scan

BODIES = [bytes([n]) * n for n in range(1, 20)]


def _read(journal: Journal, after: int = 0) -> list[bytes]:
    reader = Reader(journal)
    found: list[bytes] = []
    while records := reader.read(after + len(found), 100):
        assert [n for n, _ in records] == list(
            range(after + len(found) + 1, after + len(found) + 1 + len(records))
        )
        found += [body for _, body in records]
    reader.close()
    return found


def test_a_journal_gives_back_what_was_appended(tmp_path: Path) -> None:
    """Records come back in order, from any number on, also large ones."""
    journal = Journal(tmp_path, 1, 1)
    bodies = [*BODIES, b"l" * 3_000_000, b"end"]
    assert journal.append(bodies[:3]) == 3
    assert journal.append(bodies[3:]) == len(bodies)
    assert _read(journal) == bodies
    assert _read(journal, 7) == bodies[7:]
    journal.close()


def test_ex_100_a_journal_torn_at_every_byte(tmp_path: Path) -> None:
    """EX-100: wherever a file ends, whole records are read and nothing else."""
    segment, _ = Segment.create(tmp_path, 3, 41)
    whole = segment.path.read_bytes()
    ends = [len(whole)]
    for number, body in enumerate(BODIES[:6], 41):
        whole += frame(number, body)
        ends.append(len(whole))
    for size in range(len(whole) + 1):
        segment.path.write_bytes(whole[:size])
        found = scan(tmp_path)
        if size < HEADER_SIZE:
            assert found == []
            continue
        with segment.path.open("rb") as file:
            records, end = read(file.fileno(), HEADER_SIZE, 41)
        count = sum(size >= each for each in ends) - 1
        assert [body for _, body in records] == BODIES[:count]
        assert end == ends[count]


def test_ex_100_a_byte_that_changed_ends_the_file_there(tmp_path: Path) -> None:
    """EX-100: a record whose bytes are not what was written is not read, nor what follows."""
    segment, _ = Segment.create(tmp_path, 1, 1)
    start = segment.path.read_bytes()
    records = frame(1, b"first") + frame(2, b"second")
    for at in range(len(records)):
        spoilt = bytearray(records)
        spoilt[at] ^= 0x40
        segment.path.write_bytes(start + spoilt)
        with segment.path.open("rb") as file:
            found, _ = read(file.fileno(), HEADER_SIZE, 1)
        assert found == ([(1, b"first")] if at >= len(frame(1, b"first")) else [])


def test_files_follow_each_other(tmp_path: Path) -> None:
    """A file that is full is followed by another, of the same fence or the next."""
    first = Journal(tmp_path, 1, 1, rotate=200)
    for body in BODIES[:12]:
        first.append([body])
    first.close()
    older = scan(tmp_path)
    assert len(older) > 1
    second = Journal(tmp_path, 2, 13, older)
    second.append(BODIES[12:])
    assert _read(second) == BODIES
    second.close()


def test_what_a_process_wrote_after_its_successor_began_does_not_count(tmp_path: Path) -> None:
    """A file ends where a file of a higher fence begins."""
    first = Journal(tmp_path, 1, 1, rotate=200)
    first.append(BODIES[:4])
    second = Journal(tmp_path, 2, 5, scan(tmp_path))
    for _ in range(40):
        first.append([b"ghost of a process"])  # over several files
    second.append(BODIES[4:])
    assert _read(second) == BODIES
    again = Journal(tmp_path, 3, len(BODIES) + 1, scan(tmp_path))
    assert _read(again) == BODIES
    for each in (first, second, again):
        each.close()


def test_ex_101_a_full_disk_ends_the_journal_at_a_whole_record(tmp_path: Path) -> None:
    """EX-101: a record that does not fit is taken back whole, and nothing is written after it."""
    journal = Journal(tmp_path, 1, 1)
    journal.append([b"fits"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(JournalBroken, match="Free space"):
            journal.append([b"x" * 500])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(JournalBroken, match="an earlier write"):
        journal.append([b"more"])
    assert _read(journal) == [b"fits"]
    assert scan(tmp_path)[0].path.stat().st_size == HEADER_SIZE + len(frame(1, b"fits"))
    journal.close()


async def test_a_feed_reads_again_what_did_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond the bound in memory comes from the journal, in order."""
    monkeypatch.setattr(feeds, "MOST", 50)
    journal = Journal(tmp_path, 1, 1)
    feed = Feed(journal, asyncio.get_running_loop())
    taken: list[bytes] = []
    for turn in range(6):
        for body in BODIES:
            feed.put(journal.append([body]), [body])
        if turn % 2:
            batch = feed.take(len(taken))
            taken += [body for _, body in batch]
    while batch := feed.take(len(taken)):
        assert batch[0][0] == len(taken) + 1
        taken += [body for _, body in batch]
    assert taken == BODIES * 6
    journal.close()
    feed.close()
