"""What a user does with ``meshctl``, against a whole mesh through its gateway."""

import signal
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest

from integration.meshctl.conftest import Meshctl

pytestmark = pytest.mark.timeout(300)

BARS = "USD/JPY.SIM-1-MINUTE-BID-EXTERNAL"
SLOW = """
import time
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import BarType
from nautilus_trader.trading.strategy import Strategy

class SlowConfig(StrategyConfig, frozen=True):
    bar_type: BarType

class Slow(Strategy):
    def on_start(self):
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar):
        time.sleep(0.05)
"""
BROKEN = SLOW.replace("time.sleep(0.05)", "raise ValueError('no good')")


def test_mc_20_who_and_what(meshctl: Meshctl) -> None:
    """MC-20: whoami and info tell scopes and versions."""
    assert "backtest.run" in meshctl.json("whoami")["scopes"]
    assert meshctl.json("info")["nautilus_trader_version"] == "1.231.0"
    assert "strategy.write" in meshctl("whoami").stdout


def test_mc_21_the_sample_is_read(meshctl: Meshctl) -> None:
    """MC-21: ls shows the sample's bars, and read gives rows, JSON and files."""
    assert BARS in {each["bar_type"] for each in meshctl.json("data", "ls")}
    rows = meshctl.json("data", "read", BARS, "--limit", "3", "--columns", "close,ts_event")
    assert len(rows) == 3
    assert float(rows[0]["close"]) > 0
    meshctl("data", "read", BARS, "--out", "bars.parquet")
    assert pyarrow.parquet.read_table(meshctl.folder / "bars.parquet").num_rows > 100
    assert "close" in meshctl("data", "read", BARS).stdout


def test_mc_22_a_run_from_flags(meshctl: Meshctl) -> None:
    """MC-22: one line runs a stored strategy; its result is shown, drawn and exported."""
    run = meshctl.json("backtest", "run", "--strategy", "ema-cross", "--bars", BARS)
    assert run["state"] == "BACKTEST_STATE_SUCCEEDED"
    assert int(run["result"]["total_orders"]) > 0
    shown = meshctl("backtest", "show", run["backtest_id"][:8], "--png", "equity.png").stdout
    assert "Sharpe" in shown
    assert "equity" in shown
    assert (meshctl.folder / "equity.png").read_bytes().startswith(b"\x89PNG")
    meshctl("backtest", "tearsheet", "last", "--out", "sheet.html")
    assert b"<html" in (meshctl.folder / "sheet.html").read_bytes()[:2000].lower()
    assert run["backtest_id"][:8] in meshctl("backtest", "ls").stdout


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_mc_23_export(meshctl: Meshctl, format: str) -> None:
    """MC-23: every table of a result is written as Parquet and as CSV, with the rows it has."""
    run = meshctl.json("backtest", "run", "--example")
    files = meshctl.json("backtest", "export", "last", "--out", "out", "--format", format)["files"]
    read = pyarrow.parquet.read_table if format == "parquet" else pyarrow.csv.read_csv
    rows = {Path(file).stem: read(meshctl.folder / file).num_rows for file in files}
    assert rows == {name: int(count) for name, count in run["result"]["table_rows"].items()}


def test_mc_24_a_spec_file_with_a_fault(meshctl: Meshctl) -> None:
    """MC-24: a fault that only the mesh can see names its field too."""
    spec = meshctl.folder / "spec.yaml"
    spec.write_text(
        f"""
venues: [{{name: SIM, oms_type: NETTING, account_type: MARGIN, starting_balances: [1000000 USD]}}]
data: ["{BARS}"]
components:
  - strategy_id: ema-cross
    config: {{instrument_id: USD/JPY.SIM, bar_type: "{BARS}", trade_size: "1", fast_ema_period: x}}
"""
    )
    error = meshctl.error("backtest", "run", "spec.yaml", code=2)
    assert error["reason"] == "STRATEGY_CONFIG_INVALID"
    assert "fast_ema_period" in str(error["violations"])


def test_mc_25_what_is_not_there(meshctl: Meshctl) -> None:
    """MC-25: each thing that is not there is named, with exit code 4."""
    assert meshctl.error("strategy", "show", "nope", code=4)["reason"] == "STRATEGY_NOT_FOUND"
    assert meshctl.error("backtest", "show", "ffffffff", code=4)["reason"] == "BACKTEST_NOT_FOUND"
    error = meshctl.error("data", "read", "X/Y.SIM", "--kind", "quotes", code=4)
    assert error["reason"] in ("NO_DATA", "INSTRUMENT_NOT_FOUND")


def test_mc_26_a_failed_run(meshctl: Meshctl) -> None:
    """MC-26: a strategy that raises ends with exit code 5, its reason and its words."""
    (meshctl.folder / "broken.py").write_text(BROKEN)
    meshctl("strategy", "add", "broken.py")
    done = meshctl("backtest", "run", "--strategy", "broken", "--bars", BARS, code=5)
    assert "STRATEGY_RAISED" in done.stderr
    assert "no good" in done.stderr + done.stdout


def test_mc_27_leaving_a_run_leaves_it_alone(meshctl: Meshctl) -> None:
    """MC-27: Ctrl-C says that the run goes on; cancel ends it."""
    (meshctl.folder / "slow.py").write_text(SLOW)
    meshctl("strategy", "add", "slow.py")
    waiting = meshctl.start("backtest", "run", "--strategy", "slow", "--bars", BARS)
    assert waiting.stdout is not None
    for line in waiting.stdout:
        if line.startswith("RUNNING"):
            break
    waiting.send_signal(signal.SIGINT)
    said = waiting.communicate(timeout=30)[0]
    assert "The run goes on" in said
    assert waiting.returncode == 130
    run = meshctl.json("backtest", "show", "last")
    assert run["state"] == "BACKTEST_STATE_RUNNING"
    meshctl("backtest", "cancel", "last")
    meshctl("backtest", "watch", run["backtest_id"], code=5)
    assert meshctl.json("backtest", "show", "last")["state"] == "BACKTEST_STATE_CANCELLED"
    meshctl("backtest", "rm", "last", "--yes")
    meshctl("backtest", "show", run["backtest_id"], code=4)


def test_mc_28_an_import_with_a_bad_row(meshctl: Meshctl) -> None:
    """MC-28: a bad row names its line, with exit code 5, and nothing of the file is kept."""
    before = meshctl.json("data", "ls")
    (meshctl.folder / "bad.csv").write_text(
        "timestamp,open,high,low,close\n2030-01-01T00:01:00Z,1,2,0.5,1\n2030-01-01T00:02:00Z,1,x,1,1\n"
    )
    done = meshctl("data", "import", "bad.csv", BARS, code=5)
    assert "BAD_ROW" in done.stderr
    assert "3" in done.stderr + done.stdout
    assert meshctl.json("data", "ls") == before


def test_mc_29_import_read_delete(meshctl: Meshctl) -> None:
    """MC-29: rows that were imported are read back exactly and can be deleted."""
    bar_type = "USD/JPY.SIM-1-HOUR-BID-EXTERNAL"
    (meshctl.folder / "hours.csv").write_text(
        "timestamp,open,high,low,close,volume\n"
        "2030-01-01T01:00:00Z,100.001,100.003,100.000,100.002,7\n"
        "2030-01-01T02:00:00Z,100.002,100.004,100.001,100.003,8\n"
    )
    assert meshctl.json("data", "import", "hours.csv", bar_type)["rows_written"] == "2"
    rows = meshctl.json("data", "read", bar_type)
    assert [row["close"] for row in rows] == ["100.002", "100.003"]
    assert meshctl.json("data", "rm", bar_type, "--yes")["rows"] == 2
    assert meshctl.error("data", "read", bar_type, code=4)["reason"] == "NO_DATA"


def test_mc_30_keys(meshctl: Meshctl) -> None:
    """MC-30: a key with one scope may do that and nothing else, and none when revoked."""
    made = meshctl.json("keys", "create", "reader", "--scope", "strategy.read")
    narrow = Meshctl(
        {**meshctl.env, "MESH_API_KEY": made["secret"], "MESH_PROFILE": "none"}, meshctl.folder
    )
    narrow.env["MESH_ADDRESS"] = meshctl.env["MESH_GATEWAY_LISTEN"]
    narrow("strategy", "ls")
    assert narrow.error("backtest", "ls", code=3)["reason"] == "SCOPE_MISSING"
    meshctl("keys", "revoke", made["api_key"]["api_key_id"], "--yes")
    assert "REVOKED" in narrow.error("strategy", "ls", code=3)["reason"]


def test_mc_31_login(meshctl: Meshctl) -> None:
    """MC-31: login checks the key, writes a profile, and refuses a wrong one."""
    made = meshctl.json("keys", "create", "laptop")
    address = meshctl.env["MESH_GATEWAY_LISTEN"]
    other = Meshctl({**meshctl.env, "MESH_CONFIG": str(meshctl.folder / "p.toml")}, meshctl.folder)
    other("login", address, "--api-key", made["secret"])
    assert (meshctl.folder / "p.toml").stat().st_mode & 0o777 == 0o600
    other("strategy", "ls")
    error = other.error("login", address, "--api-key", "nm_wrong", code=3)
    assert error["reason"].startswith("API_KEY")
