"""Loading the sample through the gateway, as any client loads its own."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from meshclient.client import MeshClient
from meshclient.strategies import source_from
from services.up.sample.files import FILES, INSTRUMENTS
from services.up.sample.walk import SEED

EXAMPLES = Path(__file__).resolve().parents[2] / "strategy" / "examples"
COMPONENTS = {
    "ema-cross": ("strategy", "ema_cross.py"),
    "mean-reversion": ("strategy", "mean_reversion.py"),
    "breakout-bracket": ("strategy", "breakout_bracket.py"),
    "bar-counter": ("actor", "bar_counter.py"),
    "slicer": ("exec-algorithm", "slicer.py"),
}
"""Id → kind and file of what ships."""


async def load(mesh: MeshClient, say: Callable[[str], None]) -> None:
    """Load what is not there yet: instruments, data, components."""
    await _data(mesh, say)
    await _components(mesh, say)


async def _data(mesh: MeshClient, say: Callable[[str], None]) -> None:
    there = {(c.kind, c.instrument_id, c.bar_type) for c in await mesh.data.coverage()}
    missing = [f for f in FILES if (f.kind, f.instrument_id, f.bar_type) not in there]
    if not missing:
        return
    say(f"importing a sample: synthetic data, seed {SEED}")
    for definition in INSTRUMENTS:
        await mesh.instruments.ensure(definition)
    with tempfile.TemporaryDirectory(prefix="mesh-sample-") as folder:
        for number, each in enumerate(missing):
            path = Path(folder) / f"sample-{number}.csv"
            each.write(path)
            job = await mesh.data.import_file(path, each.spec)
            say(f"  {each.title:<44} {job.rows_written:>7,} rows")


async def _components(mesh: MeshClient, say: Callable[[str], None]) -> None:
    there = {strategy.strategy_id for strategy in await mesh.strategies.list()}
    for name, (kind, file) in COMPONENTS.items():
        if name not in there:
            version, _ = await mesh.strategies.add(name, source_from(EXAMPLES / file), kind=kind)
            say(f"  {kind} {name:<{43 - len(kind)}} {version.version[:12]}")
