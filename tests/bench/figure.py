"""A figure: what is measured, and the target it is held to."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.place import Place

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measured:
    """A value, and what it was compared with in the same run."""

    value: float
    against: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure: ``at_most`` or ``at_least`` is its target, when it has one."""

    name: str
    unit: str
    measure: Callable[[Place], Coroutine[Any, Any, Measured]]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def target(self) -> str:
        """The target for people."""
        if self.at_most is None and self.at_least is None:
            return "none"
        return f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"

    def met(self, value: float) -> bool | None:
        """Whether a value meets the target; None without one."""
        if self.at_most is not None:
            return value <= self.at_most
        return None if self.at_least is None else value >= self.at_least


def record(figure: Figure, measured: Measured) -> dict[str, object]:
    """Return a row of ``build/bench.json``."""
    return {
        "name": figure.name,
        "value": measured.value,
        "unit": figure.unit,
        "target": figure.target,
        "met": figure.met(measured.value),
        "against": measured.against,
        "machine": f"{platform.machine()}, {_processor()}, load {os.getloadavg()[0]:.1f}",
        "commit": _commit(),
    }


def write(rows: list[dict[str, object]]) -> Path:
    """Write the rows, keeping those of figures that were not measured now."""
    path = ROOT / "build" / "bench.json"
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else []
    new = {row["name"] for row in rows}
    path.write_text(json.dumps([*(r for r in before if r["name"] not in new), *rows], indent=1))
    return path


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else "unknown"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
