"""A sandbox on data time: as a backtest, and over restarts in the middle of a replay."""

from typing import Any

import pytest

from integration.live_execution.sandbox.markets import carried
from integration.live_execution.sandbox.replayed import everything
from integration.nautilus.runs import apart

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def outcomes() -> tuple[Any, ...]:
    """Return what came of all runs."""
    return apart(everything)


def test_ex_63_replay_is_a_backtest(outcomes: tuple[Any, ...]) -> None:
    """EX-63: on internal minute bars, GTD orders and brackets fare as in a stock BacktestEngine."""
    backtest, node = outcomes[0]
    assert node == backtest
    assert len(node["orders"]) > 40


def test_ex_64_replay_goes_on(outcomes: tuple[Any, ...]) -> None:
    """EX-64: a replay that ends twice and goes on is to the last event as one that did not."""
    for kind, (once, thrice) in outcomes[2].items():
        assert thrice == once, kind
        assert len(once["orders"]) > 40


def test_ex_65_difference_has_a_name(outcomes: tuple[Any, ...]) -> None:
    """EX-65: only children of brackets whose entry was filled in parts differ, in their fills."""
    backtest, node = ({order[0]: order for order in each["orders"]} for each in outcomes[1])
    assert backtest.keys() == node.keys()
    different = [key for key in node if node[key] != backtest[key]]
    assert different
    for key in different:
        # status, side, type, quantity and filled quantity are the same; its price and steps are not
        assert node[key][1:6] == backtest[key][1:6]
        assert "OrderUpdated" in node[key][-1]


def test_ex_74_markets_are_carried_over() -> None:
    """EX-74: bid, ask, last and the whole book are after a restart what they were before it."""
    for before, after in apart(carried):
        assert after == before
