"""Sandboxes on the wall's time, where Nautilus' do wrong."""

import pytest

from integration.live_execution.sandbox import mended
from integration.live_execution.sandbox.played import played
from integration.nautilus.runs import apart

pytestmark = pytest.mark.timeout(120)

CASES = {
    "EX-52 refusals": mended.refusals,
    "EX-53 bad data": mended.bad_data,
    "EX-54 expiry": mended.expiry,
    "EX-55 bars": mended.bars,
    "EX-56 ids": mended.ids,
    "EX-57 balances": mended.balances,
    "EX-58 lost commands": mended.lost_commands,
    "EX-59 held children": mended.held_children,
    "EX-60 two strategies": mended.two_strategies,
    "EX-61 revived trailing stops": mended.revived_trailing,
    "EX-62 reports": mended.reports,
}


@pytest.fixture(scope="module")
def ended() -> dict[str, str]:
    """Return how each scene ended."""
    return apart(played, tuple(CASES.values()))


@pytest.mark.parametrize("case", CASES)
def test_ex_52_62_sandbox_is_mended(case: str, ended: dict[str, str]) -> None:
    """EX-52 … EX-62: see ``mended``, where each scene says what it shows."""
    assert not ended[CASES[case].__name__], ended[CASES[case].__name__]
