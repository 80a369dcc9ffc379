"""How long a trader takes to know again what it knew, after a million facts."""

import time
from collections.abc import Sequence

from nautilus_trader.model.enums import OmsType

from bench.figure import Figure, Measured
from bench.place import Place
from integration.live_execution.restore.busy import Busy, BusyConfig, Scene, quotes
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.restoring import restore
from services.live_execution.engine.snapshots import make
from services.live_execution.trader.ports import Restored

FACTS = 1_000_000
AFTER = 5_000
"""Facts that follow on the snapshot: what a trader writes between two of them."""
TAG = "1000"


async def measure(place: Place) -> Measured:
    """Restore from a snapshot near the end of a history; against it: from the facts alone."""
    facts = _history(_one_strategy())
    before = facts[:-AFTER]
    passed, scene, memory = _restored(Restored(len(before), b"", 0, before))
    began = time.perf_counter()
    snapshot = make(scene.kernel, memory)
    making = time.perf_counter() - began
    scene.close()
    quick, scene, _ = _restored(Restored(len(facts), snapshot, len(before), facts[len(before) :]))
    scene.close()
    against = f"{passed:.0f} s from {len(before):,} facts alone; snapshot of "
    against += f"{len(snapshot) / 2**20:.1f} MiB, first made in {making:.1f} s"
    return Measured(quick, against)


def _one_strategy() -> list[bytes]:
    """Return what a busy strategy leaves behind."""
    scene = Scene(OmsType.NETTING)
    scene.begin(Memory())
    scene.play(quotes(500, size="100"), Busy(BusyConfig(order_id_tag=TAG)))
    scene.close()
    return scene.kept.facts


def _history(facts: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Return the facts of as many such strategies as make a million: one tag, one length."""
    made: list[bytes] = []
    tag = int(TAG)
    while len(made) < FACTS:
        for each in facts:
            own = each.replace(f"Busy-{TAG}".encode(), f"Busy-{tag}".encode())
            made.append(own.replace(f"-001-{TAG}-".encode(), f"-001-{tag}-".encode()))
        tag += 1
    return list(enumerate(made[:FACTS], start=1))


def _restored(restored: Restored) -> tuple[float, Scene, Memory]:
    scene = Scene(OmsType.NETTING)
    began = time.perf_counter()
    memory = restore(scene.kernel, restored)
    return time.perf_counter() - began, scene, memory


FIGURES = [Figure("restore_million_s", "s", measure, at_most=5)]
