"""The seam of history and live rows, row by row."""

import pytest
from nautilus_trader.core.data import Data

from integration.live_execution.strategies.rows import bar, quote, trade
from meshnautilus import seam as module
from meshnautilus.seam import Seam, without


def late(row: Data) -> Data:
    """Return a trade of the same event that arrived later."""
    made = trade(row.ts_event)
    return type(made)(
        made.instrument_id,
        made.price,
        made.size,
        made.aggressor_side,
        made.trade_id,
        made.ts_event,
        made.ts_init + 7,
    )


def test_a_row_that_history_has_is_told_once() -> None:
    """The time of arrival does not matter: history has that of the event."""
    history = [trade(ts) for ts in range(1, 6)]
    live = [late(row) for row in history[3:]] + [trade(6)]
    assert without(live, history) == live[2:]


def test_equal_quotes_count_as_often_as_they_are() -> None:
    """Of three equal quotes live, two of which history has, one is told."""
    assert len(without([quote(1)] * 3, [quote(1)] * 2)) == 1


def test_a_bar_is_known_by_its_event() -> None:
    """A bar that the venue tells otherwise later is the same bar."""
    assert without([bar(1, 30_000.0), bar(2)], [bar(1, 30_001.0)]) == [bar(2)]


def test_a_history_that_lags_behind_is_seen() -> None:
    """It has to have the first live row; where nothing came, it reaches far enough."""
    seam = Seam()
    assert seam.reached_by([])
    seam.hold([trade(5), trade(6)])
    assert not seam.reached_by([trade(3)])
    assert seam.reached_by([trade(4), trade(5)])


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing more is kept, and that is said."""
    monkeypatch.setattr(module, "MOST_HELD", 2)
    seam = Seam()
    seam.hold([trade(1), trade(2)])
    assert not seam.overrun
    seam.hold([trade(3)])
    assert seam.overrun
    assert seam.rest() == [trade(1), trade(2)]
