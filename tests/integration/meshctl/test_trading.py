"""``meshctl trader``, ``order`` and ``halt`` against a whole mesh: a trader in a sandbox, on the
sample as live data.
"""

import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from integration.meshctl.conftest import ENTRY, Here, Meshctl, read_terminal
from meshclient import samples

pytestmark = pytest.mark.timeout(300)

TRADER, BTC = "CTL-001", "BTCUSDT-PERP.SIM"
FAR = ("--price", "1000")


@pytest.fixture(scope="module")
def trader(mesh: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a running trader for orders by hand; it is gone at the end."""
    here = Here(mesh.env, tmp_path_factory.mktemp("ctl"))  # type: ignore[attr-defined] # RunningMesh
    here(
        *("trader", "create", TRADER, "--feed", "sample-replay", "--sandbox", "SIM", "--start"),
        *("--balance", "1000000 USDT", "--instrument", BTC, "--label", "test=ctl"),
    )
    looks = (here.json("order", "preview", TRADER, BTC, "buy", "0.1") for _ in range(60))
    assert any(each.get("price") for each in looks), "it has got no market data"
    yield TRADER
    here("trader", "stop", TRADER, "--cancel-orders")
    here("trader", "rm", TRADER, "--yes")


def test_ex_206_a_trader_from_a_file(here: Here) -> None:
    """EX-206: the example that is printed makes a trader; strategies come and go, and it is
    changed, listed and removed.
    """
    text = here("trader", "example").stdout
    assert text == (Path(samples.__file__).parent / "trader.yaml").read_text()
    (here.folder / "t.yaml").write_text(text)
    made = here.json("trader", "create", "CTL-002", "-f", "t.yaml", "--label", "test=file")
    assert made["state"] == "TRADER_STATE_STOPPED"
    assert len(made["spec"]["strategies"][0]["version"]) == 64
    here("trader", "strategy", "add", "CTL-002", "002", "ema-cross", *_config("0.5"), "--stopped")
    shown = here("trader", "get", "CTL-002").stdout
    assert "ema-cross@" in shown
    assert "002" in shown
    here("trader", "strategy", "rm", "CTL-002", "002", "--yes")
    error = here.error("trader", "strategy", "start", "CTL-002", "009", code=4)
    assert error["reason"] == "TRADER_STRATEGY_NOT_FOUND"
    document = yaml.safe_load(text) | {"strategies": []}
    (here.folder / "t.json").write_text(json.dumps(document, default=str))
    here("trader", "update", "CTL-002", "-f", "t.json")
    found = here.json("trader", "ls", "--label", "desk=sample", "--state", "stopped")
    assert "CTL-002" in {each["trader_id"] for each in found}
    assert "by hand" in here("trader", "ls").stdout
    here("trader", "rm", "CTL-002", "--yes")
    assert here.error("trader", "get", "CTL-002", code=4)["reason"] == "TRADER_NOT_FOUND"


def _config(size: str) -> list[str]:
    values = {
        "instrument_id": "EUR/USD.SIM",
        "bar_type": "EUR/USD.SIM-1-MINUTE-MID-INTERNAL",
        "trade_size": f'"{size}"',
    }
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def test_ex_206_bad_traders(here: Here) -> None:
    """EX-206: a spec with faults names each place; what does not fit together is refused."""
    (here.folder / "bad.yaml").write_text("venues: [{venue: SIM, sandbx: {}}]\ndata: {mesh: x}\n")
    error = here.error("trader", "create", "-f", "bad.yaml", code=2)
    assert {each["field"] for each in error["violations"]} == {"trader_id", "venues[0].sandbx"}
    options = ("trader", "create", "X-1", "--sandbox", "SIM")
    assert here.error(*options, code=2)["reason"] == "USAGE"
    assert here.error(*options, "--feed", "nope", code=4)["reason"] == "FEED_NOT_FOUND"
    error = here.error("trader", "create", "lower-1", *options[3:], "--replay", code=2)
    assert error["violations"][0]["field"] == "trader_id"


def test_ex_207_orders_by_hand(here: Here, trader: str) -> None:
    """EX-207: an order is previewed, submitted, filled, changed and cancelled; positions, accounts
    and what everybody else sees agree.
    """
    preview = here.json("order", "preview", trader, BTC, "buy", "0.1")
    assert preview["passes"]
    done = here.json("order", "submit", trader, BTC, "buy", "0.1", "--wait", "terminal")
    assert (done["outcome"], done["order"]["status"]) == ("OUTCOME_REACHED", "ORDER_STATUS_FILLED")
    assert done["order"]["source"] == "ORDER_SOURCE_MANUAL"
    rests = here.json("order", "submit", trader, BTC, "buy", "0.1", *FAR, "--id", "mine-1")
    again = here.json("order", "submit", trader, BTC, "buy", "0.1", *FAR, "--id", "mine-1")
    assert again["command"]["command_id"] == rests["command"]["command_id"]
    reused = here.error("order", "submit", trader, BTC, "buy", "9", *FAR, "--id", "mine-1", code=1)
    assert reused["reason"] == "ORDER_ID_REUSED"
    here("order", "modify", trader, "mine-1", "--price", "1001")
    assert "mine-1" in here("order", "list", trader, "--open").stdout
    assert BTC in here("order", "positions", trader).stdout
    assert "USDT" in here("order", "accounts", trader).stdout
    here("order", "cancel", trader, "mine-1")
    here("order", "close", trader, "--all")
    assert here.error("order", "get", trader, "nope", code=4)["reason"] == "ORDER_NOT_FOUND"


def test_ex_207_brackets_and_batches(here: Here, trader: str) -> None:
    """EX-207: a bracket rests as one list; its orders are cancelled by their ids, each answered."""
    bracket = ("--stop", "900", "--target", "1100")
    made = here.json("order", "submit", trader, BTC, "buy", "0.1", *FAR, *bracket)
    ids = [each["client_order_id"] for each in made["orders"]]
    assert len(ids) == 3
    reply = here.json("order", "cancel", trader, *ids, "nope")
    assert reply["items"][-1] == {"client_order_id": "nope", "reason": "ORDER_NOT_FOUND"}
    here("order", "cancel", trader, "--all")


BAD = [
    (("buy", "0.00001"), "ORDER_INVALID"),
    (("buy", "0.1", "--price", "1000.05"), "ORDER_INVALID"),
    (("buy", "much"), "SPEC_INVALID"),
    (("long", "1"), "SPEC_INVALID"),
    (("buy", "1", "--stop", "5"), "USAGE"),
]


@pytest.mark.parametrize(("words", "reason"), BAD)
def test_ex_207_bad_orders(here: Here, trader: str, words: tuple[str, ...], reason: str) -> None:
    """EX-207: an order that cannot be is refused with its reason, and nothing is sent."""
    assert here.error("order", "submit", trader, BTC, *words, code=2)["reason"] == reason


def test_ex_208_halt_and_flatten(here: Here, trader: str) -> None:
    """EX-208: a halt ends flat as read back; orders are refused until it is reset."""
    here("order", "submit", trader, BTC, "buy", "0.2", "--wait", "terminal")
    here("order", "submit", trader, BTC, "buy", "0.1", *FAR)
    done = here.json("halt", "set", "--trader", trader, "--flatten", "--reason", "test")
    assert done["flatten"]["state"] == "FLATTEN_STATE_FLAT"
    assert here.json("order", "positions", trader) == []
    assert here.json("order", "list", trader, "--open") == []
    refused = here.error("order", "submit", trader, BTC, "buy", "0.1", code=1)
    assert refused["reason"] == "TRADER_HALTED"
    halt_id = done["halt"]["halt_id"]
    assert halt_id[:8] in here("halt", "ls").stdout
    assert here.error("halt", "set", code=2)["reason"] == "USAGE"
    here("halt", "reset", halt_id[:8], "--yes")
    assert here.json("halt", "ls") == []
    here("order", "submit", trader, BTC, "buy", "0.1", "--wait", "terminal")
    assert "FLAT" in here("halt", "flatten", "--trader", trader, "--yes").stdout
    assert here.error("halt", "reset", halt_id[:8], "--yes", code=4)["reason"] == "HALT_NOT_FOUND"


def test_ex_208_watch_for_programs_and_logs(meshctl: Meshctl, here: Here, trader: str) -> None:
    """EX-208: an event a line, each fact once and in order; Ctrl-C is a good end."""
    child = meshctl.start("order", "watch", trader, "--json")
    assert child.stdout is not None
    for _ in range(60):  # until it is attached, and tells what happens
        here("order", "submit", trader, BTC, "buy", "0.1", *FAR)
        here("order", "cancel", trader, "--all")
        if select.select([child.stdout], [], [], 1.0)[0]:
            break
    events = [json.loads(child.stdout.readline())]
    child.send_signal(signal.SIGINT)
    events += [json.loads(line) for line in child.stdout.read().splitlines()]
    assert child.wait(30) == 0
    numbers = [int(each["number"]) for each in events]
    assert numbers == sorted(set(numbers))
    assert all(each["subject"] == trader for each in events)
    log = here.json("trader", "log", trader, "-n", "5")
    assert len(log["lines"]) == 5


def test_ex_208_watch_on_a_terminal(meshctl: Meshctl, here: Here, trader: str) -> None:
    """EX-208: the live table shows state, positions and P&L, and Ctrl-C leaves it well."""
    here("order", "submit", trader, BTC, "buy", "0.1", "--wait", "terminal")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*ENTRY, "trader", "watch", trader],
        env={**meshctl.env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = read_terminal(ours, until=lambda text: text.count("long") > 3)
    here("order", "close", trader, "--all")
    shown += read_terminal(ours, until=lambda text: "filled" in text)
    child.send_signal(signal.SIGINT)
    shown += read_terminal(ours, until=lambda text: False)
    assert child.wait(30) == 0
    assert "● running" in shown
    assert "unrealised" in shown
    assert "\x1b[2J" not in shown  # nothing is wiped, so nothing flickers
    assert shown.rstrip().endswith("\x1b[?25h")
