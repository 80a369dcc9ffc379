"""Orders of every kind at a sandbox on the wall's time: as in a backtest, and over restarts."""

import pytest

from integration.live_execution.sandbox.at_venues import all_cases
from integration.live_execution.sandbox.scripted import Told
from integration.nautilus.runs import apart

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def told() -> list[tuple[str, Told, Told, Told]]:
    """Return what was told of all cases."""
    return apart(all_cases)


def test_ex_50_orders_fare_as_in_a_backtest(told: list[tuple[str, Told, Told, Told]]) -> None:
    """EX-50: every type, time in force and contingency has the events of a stock backtest."""
    different = [name for name, backtest, sandbox, _ in told if sandbox != backtest]
    assert not different
    assert len(told) > 40


def test_ex_51_orders_go_on_after_restarts(told: list[tuple[str, Told, Told, Told]]) -> None:
    """EX-51: the same when the process ends twice in between: resting orders are put back."""
    different = [name for name, _, sandbox, lives in told if lives != sandbox]
    assert not different
