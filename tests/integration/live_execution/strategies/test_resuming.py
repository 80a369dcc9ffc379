"""The sample strategy trades on after its process was killed, as if nothing had been."""

import pytest

from integration.live_execution.strategies import resuming
from integration.live_execution.strategies.resuming import CASES, KILLS, Told
from integration.nautilus.runs import apart


@pytest.fixture(scope="module")
def told() -> dict[tuple[object, ...], Told]:
    """Give what one life and two have kept, of strategies that watch the same bars."""
    return apart(resuming.told)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("saved", "killed"), KILLS)
def test_ex93_indicators_of_two_lives_are_those_of_one(
    told: dict[tuple[object, ...], Told], case: str, saved: float, killed: float
) -> None:
    """To the last bit, for bars of the venue and for bars made here, killed amid a bar."""
    whole = told[case, "whole"]
    assert told[case, saved, killed] == whole
    averages, first, second, *_ = whole
    assert first == second, "two of the same hear the same"
    assert averages[2] >= 200, "bars were let in"
