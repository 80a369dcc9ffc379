"""A node on data time does what a backtest does: cases LS-01 to LS-06.

Both sides play the same seeded ticks in processes of their own. What is compared is all that the
strategy saw and did, in its order, with its clock's time at each.
"""

from itertools import pairwise

import pytest

from integration.nautilus.runs import Log, apart, in_backtest, in_node
from integration.nautilus.witness import MINUTE, Case

BARS = (
    "1-MINUTE-LAST-INTERNAL",
    "37-TICK-LAST-INTERNAL",
    "50-VOLUME-LAST-INTERNAL",
    "900000-VALUE-LAST-INTERNAL",
)


@pytest.fixture(autouse=True)
def _same_order_of_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give child processes one hash seed: linked orders are kept in sets, in backtests too."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")


def both(case: Case) -> Log:
    """Return the one log of both sides."""
    expected, got = apart(in_backtest, case), apart(in_node, case)
    for number, (theirs, ours) in enumerate(zip(expected, got, strict=False)):
        assert ours == theirs, f"entry {number} differs"
    assert len(got) == len(expected)
    return got


def kinds(log: Log) -> set[str]:
    """Return what the log has entries of."""
    return {entry[0] for entry in log}


@pytest.mark.long
def test_ls01_internal_bars_of_200k_ticks_equal_a_backtests() -> None:
    """LS-01: Bars by time, ticks, volume and value are equal one for one, and a minute is one."""
    log = both(Case(200_000, bars=BARS))
    minutes = [entry[2] for entry in log if "MINUTE" in entry[1]]
    assert {b - a for a, b in pairwise(minutes)} == {MINUTE}
    assert len({entry[1] for entry in log}) == len(BARS)


@pytest.mark.long
def test_ls02_timers_and_alerts_fire_at_the_same_data_times() -> None:
    """LS-02: Timers, alerts, chained and past alerts fire alike, after the last tick too."""
    log = both(Case(20_000, bars=BARS[:1], ticks=True, timers=True, then_ns=10 * MINUTE))
    names = {entry[1] for entry in log if entry[0] in ("timer", "alert", "event")}
    assert names == {"seconds-7", "minute", "A", "alert", "chained", "chained-past"}
    assert all(entry[-1] == entry[2] for entry in log if entry[0] == "timer")


@pytest.mark.long
def test_ls03_orders_at_a_sandbox_live_on_data_time() -> None:
    """LS-03: GTD, IOC, cancels and brackets have the events, states and times of a backtest."""
    log = both(Case(8_000, kind="quotes", ticks=True, timers=True, orders=True))
    assert {"OrderExpired", "OrderFilled", "OrderCanceled", "OrderUpdated"} <= kinds(log)
    made = {entry[1]: entry[2] for entry in log if entry[0] == "OrderInitialized"}
    lives = [entry[2] - made[entry[1]] for entry in log if entry[0] == "OrderExpired"]
    assert all(20 * 10**9 <= life < 23 * 10**9 for life in lives)  # 20 s, then the next tick


@pytest.mark.long
def test_ls04_two_instruments_keep_the_order_in_which_they_are_played() -> None:
    """LS-04: Ticks of two instruments come in order of time, and of delivery at one time."""
    log = both(Case(20_000, instruments=2, bars=BARS[:2], ticks=True, timers=True))
    ticks = [entry for entry in log if entry[0] == "trade"]
    assert [int(tick[3]) for tick in ticks] == list(range(20_000))
    assert any(a[2] == b[2] and a[1] != b[1] for a, b in pairwise(ticks))


def test_ls05_a_pace_changes_nothing_but_when() -> None:
    """LS-05: Data, bars and timers of a paced replay come in the order of a lockstep one."""
    case = Case(4_000, bars=BARS[:2], ticks=True, timers=True)
    assert apart(in_node, case, 2_000.0) == apart(in_node, case)


def test_ls06_bars_of_the_venue_match_orders_at_a_sandbox() -> None:
    """LS-06: Orders are filled by played bars as in a backtest; a stock sandbox sees no bars."""
    external = ("1-MINUTE-LAST-EXTERNAL",)
    log = both(Case(2_000, kind="bars", bars=external, timers=True, orders=True))
    assert {"OrderExpired", "OrderFilled", "OrderCanceled", "bar", "timer"} <= kinds(log)
