"""Flattens: cancel all, close all, read back, say what is left and why."""

import pytest

from integration.live_execution.sandbox import flattened
from integration.live_execution.sandbox.played import Scenes, played
from integration.nautilus.runs import apart

pytestmark = pytest.mark.timeout(120)

CASES = {
    "EX-66 whole trader": flattened.whole_trader,
    "EX-67 one strategy": flattened.one_strategy,
    "EX-68 safety mode": flattened.safety_mode,
    "EX-69 no market": flattened.no_market,
    "EX-70 closed market": flattened.closed_market,
    "EX-71 silent venue": flattened.silent_venue,
    "EX-72 bounds of orders": flattened.bounds_of_orders,
}


def _quickly(scenes: Scenes) -> dict[str, str]:
    flattened.make_quick()
    return played(scenes)


@pytest.fixture(scope="module")
def ended() -> dict[str, str]:
    """Return how each scene ended."""
    return apart(_quickly, tuple(CASES.values()))


@pytest.mark.parametrize("case", CASES)
def test_ex_66_72_flatten(case: str, ended: dict[str, str]) -> None:
    """EX-66 … EX-72: see ``flattened``, where each scene says what it shows."""
    assert not ended[CASES[case].__name__], ended[CASES[case].__name__]
