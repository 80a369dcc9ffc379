"""``python -m bench [--only NAME]``: measure, print a table, write ``build/bench.json``."""

import argparse
import asyncio

from rich.console import Console
from rich.table import Table

from bench import backtests, gateway, history, latency, memory, orders, restoring, ticks
from bench.figure import Figure, record, write
from bench.place import place

FIGURES: list[Figure] = [
    *memory.FIGURES,
    *gateway.FIGURES,
    *backtests.FIGURES,
    *history.FIGURES,
    *ticks.FIGURES,
    *latency.FIGURES,
    *orders.FIGURES,
    *restoring.FIGURES,
]
"""In the order of measuring: the idle mesh comes first."""


def main() -> None:
    """Measure the figures that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=[f.name for f in FIGURES], help="measure this one")
    only = parser.parse_args().only
    rows = []
    # One loop for all: gRPC's poller does not survive the one that it began in.
    with place() as here, asyncio.Runner() as runner:
        for figure in (f for f in FIGURES if only in (None, f.name)):
            print(f"measuring {figure.name}", flush=True)
            rows.append(record(figure, runner.run(figure.measure(here))))
    Console().print(_table(rows))
    print(f"written to {write(rows)}")


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table("figure", "value", "unit", "target", "met", "against")
    for row in rows:
        cells = (row[c] for c in ("name", "value", "unit", "target", "met", "against"))
        table.add_row(*(f"{c:,.3f}" if isinstance(c, float) else str(c) for c in cells))
    return table


main()
