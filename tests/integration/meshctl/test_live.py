"""``meshctl md`` against a whole mesh, with a simulated Binance and the sample as a replay."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.meshctl.conftest import ENTRY, Meshctl, read_terminal

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).resolve().parents[3]
BTC, ETH = "BTCUSDT.BINANCE", "ETHUSDT.BINANCE"
REPLAY = "sample-replay"


@pytest.fixture(scope="module")
def venue() -> Iterator[str]:
    """Give the config of a feed of a simulated Binance that sends quotes and trades."""
    child = subprocess.Popen(
        [sys.executable, "-m", "simulators.binance", "--rate", "40"],
        cwd=ROOT / "tests",
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    port = child.stdout.readline().strip()
    yield json.dumps(
        {
            "base_url_http": f"http://127.0.0.1:{port}",
            "base_url_ws": f"ws://127.0.0.1:{port}/spot",
            "instrument_provider": {"load_all": True},
        }
    )
    child.stdin.close()  # it ends with its standard input
    child.wait(10)


@pytest.fixture
def feed(meshctl: Meshctl, venue: str) -> Iterator[str]:
    """Give a feed of the simulated venue; it and its subscriptions are removed."""
    meshctl("md", "feed", "add", "sim", "binance", "--config", venue)
    yield "sim"
    for each in meshctl.json("md", "subscriptions", "--feed", "sim"):
        meshctl("md", "unsubscribe", each["subscription_id"])
    meshctl("md", "feed", "rm", "sim")


def test_mc_40_venues(meshctl: Meshctl) -> None:
    """MC-40: every adapter is listed; one is shown with its credentials and its config's fields."""
    found = {each["venue"]: each for each in meshctl.json("md", "venues")}
    assert found["REPLAY"]["available"]
    assert found["BINANCE"]["data"]
    shown = meshctl("md", "venues", "binance").stdout
    assert "BINANCE_API_KEY" in shown
    assert "base_url_http" in shown
    error = meshctl.error("md", "venues", "binanz", code=4)
    assert error["reason"] == "VENUE_NOT_FOUND"
    assert "meshctl md venues" in meshctl("md", "venues", "binanz", code=4).stderr


def test_mc_41_feeds(meshctl: Meshctl, feed: str) -> None:
    """MC-41: a feed is made, listed, and not removed while it is used; a bad config is named."""
    assert feed in {each["feed_id"] for each in meshctl.json("md", "feeds")}
    meshctl("md", "subscribe", feed, f"{BTC}:quotes")
    assert meshctl.error("md", "feed", "rm", feed, code=1)["reason"] == "FEED_IN_USE"
    error = meshctl.error("md", "feed", "add", "x", "binance", "--set", "base_url_htp=1", code=2)
    assert error["violations"][0]["field"] == "config_json.base_url_htp"
    assert meshctl.error("md", "feed", "add", feed, "replay", code=1)["reason"] == "FEED_EXISTS"
    found = meshctl.json("md", "instruments", feed, "btc")
    assert BTC in {each["instrument_id"] for each in found}


def test_mc_42_a_bad_symbol_fails_alone(meshctl: Meshctl, feed: str) -> None:
    """MC-42: of several channels the one that the venue lacks is refused, with its reason."""
    made = meshctl.json("md", "subscribe", feed, f"{BTC}:quotes,trades", "NO.BINANCE:quotes")
    states = [(item["state"], item["reason"]) for item in made["items"]]
    assert states == [
        ("ITEM_STATE_LIVE", ""),
        ("ITEM_STATE_LIVE", ""),
        ("ITEM_STATE_FAILED", "INSTRUMENT_NOT_AT_VENUE"),
    ]
    assert "INSTRUMENT_NOT_AT_VENUE" in meshctl("md", "subscribe", feed, "NO.BINANCE:quotes").stdout
    error = meshctl.error("md", "subscribe", feed, f"{BTC}:ticks", code=2)
    assert error["reason"] == "CHANNEL_INVALID"


def test_mc_43_watch_for_programs(meshctl: Meshctl, feed: str) -> None:
    """MC-43: an object a line; Ctrl-C is a good end, and takes the subscription with it."""
    child = meshctl.start("md", "watch", feed, f"{BTC}:quotes", "--json")
    assert child.stdout is not None
    seen = [json.loads(child.stdout.readline()) for _ in range(5)]
    child.send_signal(signal.SIGINT)
    rest = child.stdout.read()
    assert child.wait(30) == 0
    assert "snapshot" in seen[0]
    assert "quote" in seen[-1]["update"]
    assert all(json.loads(line) for line in rest.splitlines())
    assert meshctl.json("md", "subscriptions", "--feed", feed) == []


def test_mc_43_watch_once(meshctl: Meshctl, feed: str) -> None:
    """MC-43: `--once` waits for each channel's first data, and ends."""
    shown = meshctl("md", "watch", feed, f"{BTC}:quotes", f"{ETH}:quotes", "--once").stdout
    assert BTC in shown
    assert ETH in shown
    assert "live" in shown
    lines = meshctl("md", "watch", feed, f"{BTC}:quotes", "--once", "--json").stdout.splitlines()
    assert "latest" in json.loads(lines[-1]).get("snapshot", {}) or "update" in lines[-1]
    assert "name channels" in meshctl("md", "watch", feed, code=2).stderr


def test_mc_44_watch_on_a_terminal(meshctl: Meshctl, feed: str) -> None:
    """MC-44: the table is painted over itself, and Ctrl-C leaves the cursor as it was."""
    meshctl("md", "subscribe", feed, f"{BTC}:quotes")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*ENTRY, "md", "watch", "last"],
        env={**meshctl.env, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = read_terminal(ours, until=lambda text: text.count("● live") > 3)
    child.send_signal(signal.SIGINT)
    shown += read_terminal(ours, until=lambda text: False)
    assert child.wait(30) == 0
    assert BTC in shown
    assert "\x1b[2J" not in shown  # nothing is wiped, so nothing flickers
    assert shown.rstrip().endswith("\x1b[?25h")


def test_mc_45_books(meshctl: Meshctl, feed: str) -> None:
    """MC-45: a book is opened for as long as it is looked at; a trade is priced in it."""
    book = meshctl.json("md", "book", feed, BTC, "--levels", "5")
    assert len(book["order_book"]["bids"]) == 5
    assert "↕" in meshctl("md", "book", feed, BTC).stdout
    best = float(book["order_book"]["asks"][0]["price"])
    prices = meshctl.json("md", "book", feed, BTC, "--buy", "0.01")
    assert float(prices["average_price"]) == pytest.approx(best, rel=0.01)
    assert meshctl.json("md", "subscriptions", "--feed", feed) == []
    assert "INSTRUMENT_NOT_AT_VENUE" in meshctl("md", "book", feed, "NO.BINANCE", code=1).stderr


def test_mc_46_recording(meshctl: Meshctl, feed: str) -> None:
    """MC-46: what is recorded is history when recording is switched off."""
    made = meshctl.json("md", "subscribe", feed, f"{ETH}:quotes", "--record")
    assert made["recording"]
    _until_rows(meshctl, made["subscription_id"], feed)
    stopped = meshctl.json("md", "record", made["subscription_id"][:8], "off")
    assert not stopped["recording"]
    rows = meshctl.json("data", "read", ETH, "--kind", "quotes")
    assert len(rows) > 3
    assert meshctl.error("md", "record", "last", "maybe", code=2)["reason"] == "USAGE"
    meshctl("data", "rm", ETH, "--kind", "quotes", "--yes")


def _until_rows(meshctl: Meshctl, subscription_id: str, feed: str) -> None:
    child = meshctl.start("md", "watch", subscription_id, "--json")
    assert child.stdout is not None
    updates = 0
    while updates < 5:
        updates += "update" in json.loads(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    child.stdout.read()
    assert child.wait(30) == 0


def test_mc_47_history(meshctl: Meshctl, feed: str) -> None:
    """MC-47: a job fetches bars into the catalog; it is listed, and a wrong one is refused."""
    bars = f"{BTC}-1-MINUTE-LAST-EXTERNAL"
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 3600))
    job = meshctl.json("md", "history", feed, bars, "--start", start)
    assert job["state"] == "HISTORY_JOB_STATE_SUCCEEDED"
    assert int(job["rows_written"]) > 50
    assert job["history_job_id"] in {each["history_job_id"] for each in meshctl.json("md", "jobs")}
    error = meshctl.error("md", "history", feed, f"{BTC}:deltas", "--start", start, code=1)
    assert error["reason"] == "HISTORY_UNSUPPORTED"


def test_mc_48_a_replay(meshctl: Meshctl, feed: str) -> None:
    """MC-48: the sample is played, paused, moved and timed; other feeds are not."""
    shown = meshctl("md", "watch", REPLAY, "EUR/USD.SIM:quotes", "--seconds", "2").stdout
    assert "EUR/USD.SIM" in shown
    assert meshctl.json("md", "replay", "pause", REPLAY)["replay"]["paused"]
    moved = meshctl.json("md", "replay", "seek", REPLAY, "2024-01-01T03:00")
    assert moved["replay"]["position"].startswith("2024-01-01T03:00")
    assert meshctl.json("md", "replay", "speed", REPLAY, "50")["replay"]["speed"] == 50
    assert not meshctl.json("md", "replay", "resume", REPLAY)["replay"]["paused"]
    assert meshctl.error("md", "replay", "pause", feed, code=1)["reason"] == "NOT_A_REPLAY"
    outside = meshctl.error("md", "replay", "seek", REPLAY, "2031-01-01", code=2)
    assert outside["violations"][0]["field"] == "position"
    meshctl("md", "replay", "speed", REPLAY, "10")
