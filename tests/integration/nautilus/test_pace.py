"""A replay's pace: cases LS-20 to LS-24. The wall's time is the test's own."""

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from meshkit.nautilus.data_time import Pace

SECOND = 10**9
T0 = 1_700_000_000 * SECOND


class Wall:
    """A wall clock (s) that the test moves."""

    def __init__(self) -> None:
        self.now_s = 5.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def test_ls20_data_is_due_by_the_walls_time_and_the_speed() -> None:
    """LS-20: The first time asked for is due; others when as much wall time has passed."""
    wall = Wall()
    pace = Pace(10, wall=wall)
    assert pace.due(T0)
    assert not pace.due(T0 + 20 * SECOND)
    wall.now_s += 1.5
    assert not pace.due(T0 + 20 * SECOND)
    assert pace.position_ns == T0 + 15 * SECOND
    wall.now_s += 0.5
    assert pace.due(T0 + 20 * SECOND)


def test_ls21_a_change_of_speed_counts_from_where_it_is() -> None:
    """LS-21: What has passed keeps its speed; a reader that fell behind is not thrown forward."""
    wall = Wall()
    pace = Pace(1, wall=wall)
    assert pace.due(T0)
    wall.now_s += 100  # far behind: the last that was asked for is T0
    pace.speed = 2
    assert not pace.due(T0 + 4 * SECOND)
    wall.now_s += 2
    assert pace.due(T0 + 4 * SECOND)
    pace.speed = inf
    assert pace.due(T0 + 10**6 * SECOND)


def test_ls22_time_in_a_pause_does_not_count() -> None:
    """LS-22: Nothing is due in a pause, and after it the rest of the wait is left."""
    wall = Wall()
    pace = Pace(1, wall=wall)
    assert pace.due(T0)
    assert not pace.due(T0 + 3 * SECOND)
    wall.now_s += 1
    pace.pause()
    wall.now_s += 1_000
    assert not pace.due(T0 + 3 * SECOND)
    pace.resume()
    assert not pace.due(T0 + 3 * SECOND)
    wall.now_s += 2
    assert pace.due(T0 + 3 * SECOND)


async def test_ls23_a_wait_ends_when_the_pace_changes() -> None:
    """LS-23: A wait of an hour, or in a pause, ends with a change of speed or the pause's end."""
    pace = Pace(1, wall=Wall())
    assert pace.due(T0)
    assert not pace.due(T0 + 3_600 * SECOND)
    changes: list[Callable[[], None]] = [lambda: _hurry(pace), pace.pause, pace.resume]
    for change in changes:
        waiting = asyncio.create_task(pace.until(T0 + 3_600 * SECOND))
        await asyncio.sleep(0)
        change()
        await asyncio.wait_for(waiting, 10)


def _hurry(pace: Pace) -> None:
    pace.speed = 2


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_ls24_a_speed_is_above_0(speed: float) -> None:
    """LS-24: A speed of 0 is refused with what to do in its place."""
    with pytest.raises(ValueError, match="To stand still: pause"):
        Pace(speed)
