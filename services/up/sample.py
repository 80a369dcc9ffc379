"""Loading the sample and what else ships through the gateway, as any client loads its own."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from mesh.marketdata.v1.marketdata_pb2 import DataKind, ImportSpec
from meshclient.client import MeshClient
from meshclient.strategies import source_from
from services.market_data import sample

EXAMPLES = Path(__file__).resolve().parents[1] / "strategy" / "examples"
COMPONENTS = {
    "ema-cross": ("strategy", "ema_cross.py"),
    "mean-reversion": ("strategy", "mean_reversion.py"),
    "breakout-bracket": ("strategy", "breakout_bracket.py"),
    "bar-counter": ("actor", "bar_counter.py"),
    "slicer": ("exec-algorithm", "slicer.py"),
}
"""Id → kind and file of what ships."""
Say = Callable[[str], None]


async def load(mesh: MeshClient, say: Say) -> None:
    """Load what is not there yet: instruments, synthetic data, components."""
    await _data(mesh, say)
    await _components(mesh, say)


async def _data(mesh: MeshClient, say: Say) -> None:
    there = {(c.kind, c.bar_type or c.instrument_id) for c in await mesh.data.coverage()}
    with tempfile.TemporaryDirectory(prefix="mesh-sample-") as folder:
        files = sample.write(Path(folder))
        missing = [f for f in files if (f.spec.kind, _name(f.spec)) not in there]
        if not missing:
            return
        say("importing a synthetic sample")
        for definition in sample.instruments():
            await mesh.instruments.ensure(definition)
        for each in missing:
            job = await mesh.data.import_file(each.path, each.spec)
            say(f"  {_title(each.spec):<48} {job.rows_written:>7,} rows")


def _name(spec: ImportSpec) -> str:
    return spec.bar_type or spec.instrument_id


def _title(spec: ImportSpec) -> str:
    kind = DataKind.Name(spec.kind).removeprefix("DATA_KIND_").lower().replace("_", " ")
    return f"{_name(spec)} ({kind})"


async def _components(mesh: MeshClient, say: Say) -> None:
    there = {strategy.strategy_id for strategy in await mesh.strategies.list()}
    for name, (kind, file) in COMPONENTS.items():
        if name not in there:
            version, _ = await mesh.strategies.add(name, source_from(EXAMPLES / file), kind=kind)
            say(f"  {name + ' (' + kind + ')':<48} {version.version[:12]}")
