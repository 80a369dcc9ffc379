"""What a trader knew when it last ran: journal and PostgreSQL together.

Facts are numbered once, so what both have is equal. PostgreSQL may be behind (the shipper was) or
ahead (the journal's host was lost, or this is another one).
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.events.v1.events_pb2 import Event
from meshkit import facts
from meshkit.database import Connection
from services.live_execution.names import TraderKey
from services.live_execution.trader import snapshots
from services.live_execution.trader.errors import JournalBroken
from services.live_execution.trader.journal_file import HEADER_SIZE, Record, Segment, read, scan
from services.live_execution.trader.ports import Restored

_PAGE = 2048


@dataclass
class Recovered:
    """``segments`` are the files to read older facts from; ``shipped`` is PostgreSQL's head."""

    segments: list[Segment]
    shipped: int
    restored: Restored

    @property
    def unshipped(self) -> list[Record]:
        """Facts that PostgreSQL does not have yet."""
        return [record for record in self.restored.facts if record[0] > self.shipped]


async def recover(connection: Connection, key: TraderKey, folder: Path) -> Recovered:
    """Read everything. Raises ``JournalBroken`` when a fact is missing or told in two ways."""
    segments = scan(folder)
    head, trimmed = await _stands(connection, key.facts)
    snapshot = await snapshots.newest(connection, key, folder, segments)
    local = {record[0]: record for record in _chain(segments, snapshot.number)}
    start = snapshot.number if snapshot.body or 1 in local else trimmed
    stored = [each async for each in _stored(connection, key.facts, start)]
    _compare(stored, local, segments)
    found = _joined(stored, local, start)
    last = found[-1][0] if found else start
    if last < head:
        raise JournalBroken(f"Fact {last + 1} of {key.trader_id} is missing, of {head}.")
    return Recovered(segments, head, Restored(last, snapshot.body, snapshot.number, found))


async def _stands(connection: Connection, stream: str) -> tuple[int, int]:
    """Return the number of the last fact, and that of the last one that is not kept any more."""
    head = await facts.heads(connection, [stream])
    return (head[0].number, max(head[0].kept_from - 1, 0)) if head else (0, 0)


def _chain(segments: list[Segment], after: int) -> Iterator[Record]:
    """Yield the journal's records above a number, file by file."""
    for segment in segments:
        if segment.end is not None and segment.end <= after + 1:
            continue
        with segment.path.open("rb") as file:
            number, offset = segment.first, HEADER_SIZE
            while records := (found := read(file.fileno(), offset, number))[0]:
                yield from (r for r in records if r[0] > after and segment.has(r[0]))
                number, offset = number + len(records), found[1]


Stored = tuple[int, bytes, int]
"""Number, serialised ``TraderFact`` and the fence of who stored it."""


async def _stored(connection: Connection, stream: str, after: int) -> AsyncIterator[Stored]:
    while page := await facts.read(connection, stream, after, _PAGE):
        for fact in page:
            event = Event.FromString(fact.event)
            yield fact.number, event.payload.value, event.fence
        after = page[-1].number


def _compare(stored: list[Stored], local: dict[int, Record], segments: list[Segment]) -> None:
    """Leave out of ``local`` what a process wrote that had lost its lease.

    Its successor ran on another host and began at PostgreSQL's head: the same number is then
    another fact there, of a newer fence.
    """
    for number, body, fence in stored:
        record = local.get(number)
        if record is None or record[1] == body:
            continue
        ghosts = [s for s in segments if s.has(number) and s.fence < fence]
        if not ghosts:
            raise JournalBroken(f"Journal and database differ in fact {number}.")
        for segment in segments:
            if segment.fence <= ghosts[-1].fence and (segment.end is None or segment.end > number):
                for gone in range(max(number, segment.first), segment.end or max(local) + 1):
                    local.pop(gone, None)
                segment.end = number


def _joined(stored: list[Stored], local: dict[int, Record], start: int) -> list[Record]:
    """Return the facts after ``start`` up to the first that neither has."""
    found = [(number, body) for number, body, _ in stored]
    first = found[0][0] if found else start + 1
    before = [local.get(number) for number in range(start + 1, first)]
    whole = [record for record in before if record is not None]
    if len(whole) < len(before):
        raise JournalBroken(
            f"Facts from {start + 1} to {first - 1} are neither in the journal nor in the database."
        )
    found = whole + found
    number = (found[-1][0] if found else start) + 1
    while (record := local.get(number)) is not None:
        found.append(record)
        number += 1
    return found
