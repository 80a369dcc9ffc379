"""EX-231, EX-232: whoever believes that a trader is theirs, one process alone trades."""

import signal
from pathlib import Path

import pytest

from chaos.trading.alone import alone
from integration.live_execution.outside.kit import World
from mesh.execution.v1.events_pb2 import TraderFact
from services.live_execution.engine.main import HELD
from services.live_execution.trader import journal_file

pytestmark = pytest.mark.timeout(300)


async def test_ex231_ex232_one_process_trades(world: World) -> None:
    """EX-231: of two processes from one ticket, as two launchers start them, one trades, the other
    ends and sends nothing. EX-232: when that one was stopped past its lease it has a successor;
    let go on it ends, and of it comes to the venue at most what was on its way already.
    """
    async with alone(world) as at:
        both = [at.start(), at.start()]
        await at.until(lambda: any(each.code is not None for each in both), "one is refused")
        (loser,) = [each for each in both if each.code is not None]
        (first,) = [each for each in both if each is not loser]
        assert loser.code == HELD
        await at.more(first, 120)  # the burst of its start is over
        assert at.arrived() == at.arrived(first)

        first.signal(signal.SIGSTOP)
        successor = await at.successor()
        await at.more(successor, 20)
        before = set(at.arrived(first))
        let_through = _sent(Path(at.ticket.journal))
        on_its_way = {key for key in let_through if f"-{first.pid}-" in key} - before
        assert len(on_its_way) <= 1  # the one that it was sending as it was stopped
        first.signal(signal.SIGCONT)
        assert await first.ended() == HELD
        await at.more(successor, 20)
        assert set(at.arrived(first)) - before <= on_its_way
        assert len(set(at.arrived())) == len(at.arrived())


def _sent(folder: Path) -> set[str]:
    """Return the orders whose intent is journalled: what the gate has let through."""
    found: set[str] = set()
    for segment in journal_file.scan(folder):
        data = segment.path.read_bytes()[journal_file.HEADER_SIZE :]
        records, _ = journal_file.parse(data, segment.first)
        for _, body in records:
            found.update(TraderFact.FromString(body).intent.client_order_ids)
    return found
