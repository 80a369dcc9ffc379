"""Makes the tearsheet of a result folder: ``python -m … FOLDER TITLE``, in a process of its own."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from nautilus_trader.analysis.tearsheet import create_tearsheet_from_stats


def make(folder: Path, title: str) -> None:
    """Write ``tearsheet.html``, complete or not at all."""
    figures = json.loads((folder / "figures.json").read_text())
    table = pq.read_table(folder / "returns.parquet")
    returns = pd.Series(
        table["value"].to_numpy(),
        index=pd.to_datetime(table["ts"].to_numpy(), unit="ns", utc=True),
        dtype=float,
    )
    partial = folder / "tearsheet.part.html"
    create_tearsheet_from_stats(
        stats_pnls={code: _stats(each) for code, each in figures["pnls"].items()},
        stats_returns=_stats(figures["returns"]),
        stats_general=_stats(figures["general"]),
        returns=returns,
        output_path=str(partial),
        title=title,
        run_info={
            "Events": figures["iterations"],
            "Orders": figures["total_orders"],
            "Positions": figures["total_positions"],
            "Start": str(pd.Timestamp(figures["backtest_start"], tz="UTC")),
            "End": str(pd.Timestamp(figures["backtest_end"], tz="UTC")),
        },
        account_info={
            f"{account['venue']} {money['currency']}": money["amount"]
            for account in figures["accounts"]
            for money in account["balances"]
        },
    )
    partial.rename(folder / "tearsheet.html")


def _stats(values: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        each["name"]: float("nan") if each["value"] is None else each["value"] for each in values
    }


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2])
