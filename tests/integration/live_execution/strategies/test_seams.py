"""History up to now and live data from now on: nothing is missing between them, nothing twice."""

from integration.live_execution.strategies import seaming
from integration.nautilus.runs import apart


def test_ex94_no_row_is_missing_at_the_seam_and_none_comes_twice() -> None:
    """Whether a strategy subscribes before its request or in its callback, in a trader where
    another hears the same bars: that one is not held up.
    """
    told = apart(seaming.told)
    assert told["LIVE"] == list(range(4, 12))
    assert told["FIRST"] == list(range(12))
    assert told["THEN"] == list(range(12))
