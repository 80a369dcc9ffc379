"""Equity and drawdown of a run as a PNG; needs the extra ``plot`` (matplotlib)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mesh.backtest.v1.backtest_pb2 import EquityCurve
from meshclient.errors import MeshClientError


def write_png(curves: Sequence[EquityCurve], file: Path, title: str) -> Path:
    """Draw one column for each currency, equity above drawdown; return the file."""
    if not curves:
        raise MeshClientError(
            "The run has no equity curve to draw.",
            code="FAILED_PRECONDITION",
            reason="RESULT_NOT_READY",
        )
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MeshClientError(
            "A PNG needs matplotlib: pip install 'nautilus-mesh[plot]'.",
            code="FAILED_PRECONDITION",
            reason="EXTRA_MISSING",
        ) from None
    figure = Figure(figsize=(10 * len(curves), 6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(2, len(curves), sharex="col", squeeze=False, height_ratios=[3, 1])
    for column, curve in enumerate(curves):
        _draw(axes[0][column], axes[1][column], curve)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="png", dpi=110)
    return file


def _draw(above: Any, below: Any, curve: EquityCurve) -> None:
    times = [datetime.fromtimestamp(p.time.seconds + p.time.nanos / 1e9, UTC) for p in curve.points]
    equity = [point.equity for point in curve.points]
    drawdown = [100 * point.drawdown for point in curve.points]
    above.step(times, equity, where="post", color="#1f6feb", linewidth=1.3)
    above.set_ylabel(f"equity ({curve.currency})")
    above.ticklabel_format(axis="y", style="plain", useOffset=False)
    above.grid(alpha=0.3)
    below.fill_between(times, drawdown, step="post", color="#d1242f", alpha=0.5, linewidth=0)
    below.set_ylabel("drawdown (%)")
    below.grid(alpha=0.3)
    below.tick_params(axis="x", rotation=20)
