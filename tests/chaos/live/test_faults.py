"""MD-70: every tick is received once, or lies in a gap that was said, whatever breaks."""

import random

import pytest

from chaos.live.breaking import FAULTS
from chaos.live.scene import SILENCE, ended, feed_of_a_venue, strike, watched
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(600)

SEED = 70


async def test_md70_twenty_clients_while_everything_breaks(live_mesh: RunningMesh) -> None:
    """MD-70a: service, feed, Valkey and Envoy are killed with -9, and the venue drops, refuses and
    goes silent: LOSSLESS clients have each tick once or are told the gap with its cause, without a
    gap where the feed went on; CONFLATED ones end with the newest of each channel.
    """
    draw = random.Random(SEED)
    async with (
        feed_of_a_venue(live_mesh, "chaos", silence=SILENCE) as at,
        watched(at, draw) as readers,
    ):
        for fault in FAULTS:
            broken = [len(reader.breaks) for reader in readers]
            await strike(at, readers, fault, draw)
            again = [len(r.breaks) > n for r, n in zip(readers, broken, strict=True)]
            assert all(again) if fault.breaks_streams else not any(again), fault.name
        last = await ended(at, readers)
        assert min(last.values()) > 0
        assert all(reader.causes() for reader in readers if reader.lossless)
    logs = live_mesh.data / "logs"
    assert [log.name for log in logs.glob("*.log") if "Traceback" in log.read_text()] == []
