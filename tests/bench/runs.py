"""Runs of the same spec through the mesh and by stock Nautilus."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.place import Place
from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.common.v1 import enums_pb2
from mesh.common.v1.types_pb2 import Money
from mesh.marketdata.v1 import marketdata_pb2 as md
from meshclient.client import MeshClient

ROOT = Path(__file__).resolve().parents[2]
STOCK = ROOT / ".venv-stock" / "bin" / "python"
EXAMPLES = ROOT / "services" / "strategy" / "examples"


@dataclass(frozen=True)
class Job:
    """What is run on both sides: a stored strategy, its module for stock, and data."""

    strategy_id: str
    module: str
    class_name: str
    config: dict[str, Any]
    data: list[dict[str, str]]
    chunk_size: int | None = field(default=100_000)

    def spec(self) -> pb.BacktestSpec:
        """Return the job for the mesh."""
        component = pb.ComponentSpec(strategy_id=self.strategy_id)
        component.config.update(self.config)
        return pb.BacktestSpec(
            venues=[
                pb.VenueSpec(
                    name="SIM",
                    oms_type=enums_pb2.OMS_TYPE_NETTING,
                    account_type=enums_pb2.ACCOUNT_TYPE_MARGIN,
                    base_currency="USD",
                    starting_balances=[Money(amount="1000000", currency="USD")],
                )
            ],
            data=[
                md.DataSelection(
                    kind=md.DataKind.Value(f"DATA_KIND_{each['kind']}"),
                    instrument_id="" if each["kind"] == "BAR" else each["instrument_id"],
                    bar_type=each.get("bar_type", ""),
                )
                for each in self.data
            ],
            components=[component],
        )

    def stock(self, catalog: Path) -> dict[str, Any]:
        """Return the job for ``stock/node.py``."""
        return {
            "catalog": str(catalog),
            "strategies": str(EXAMPLES),
            "strategy_path": f"{self.module}:{self.class_name}",
            "config_path": f"{self.module}:{self.class_name}Config",
            "config": self.config,
            "data": self.data,
            "chunk_size": self.chunk_size,
        }


async def by_mesh(client: MeshClient, job: Job) -> tuple[float, pb.Backtest]:
    """Return the seconds from CreateBacktest to the end, and the run."""
    started = time.perf_counter()
    run = await client.backtests.run(job.spec())
    return time.perf_counter() - started, run


def by_stock(place: Place, job: Job) -> tuple[float, float, dict[str, Any]]:
    """Return the seconds of the run alone, those of the whole process, and what it printed."""
    spec = place.folder / "stock.json"
    spec.write_text(json.dumps(job.stock(place.mesh.data / "catalog" / "default")))
    started = time.perf_counter()
    done = subprocess.run(
        [STOCK, ROOT / "tests" / "bench" / "stock" / "node.py", spec],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(place.folder)},
    )
    whole = time.perf_counter() - started
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        raise RuntimeError("the stock run failed")
    output = json.loads(done.stdout.strip().splitlines()[-1])
    return float(output["seconds"]), whole, output
