"""The account of a reader sees what it is there to see."""

import pytest

from chaos.live.ledger import Told, conflated_faults, lossless_faults


def _told(*what: object) -> Told:
    """Make an account: lists are ticks, texts gaps, numbers and None snapshots."""
    told = Told()
    for each in what:
        if isinstance(each, list):
            told.rows(each)
        elif isinstance(each, str):
            told.gap(each)
        else:
            told.snapshot(each if isinstance(each, int) else None)
    return told


@pytest.mark.parametrize(
    "told",
    [
        _told(None, [1, 2], [3, 4]),
        _told(2, [3], [4]),
        _told(None, [2], "FEED_RESTARTED", 2, [4]),
        _told(None, [1], "FEED_RESTARTED", 3, [4]),
        _told(None, [1], "FEED_RESTARTED", None, [4]),
        _told(None, [1], "FEED_RESTARTED", 1, "VENUE_SILENT", 1, [4]),
        _told(None, [1], "SLOW_READER", 4),
    ],
)
def test_what_is_as_promised(told: Told) -> None:
    """Ticks in order, and gaps with a snapshot where some are missing, are no fault."""
    assert list(lossless_faults(told, 4)) == []


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (_told(None, [1, 2, 4]), "3 to 3 lost without a gap"),
        (_told(None, [1, 2, 2, 3, 4]), "2 after 2: repeated"),
        (_told(None, [1, 3, 2, 4]), "2 after 3: repeated or out of order"),
        (_told(None, [1], "VENUE_SILENT", [4]), "no snapshot before 4"),
        (_told(None, [1], "VENUE_SILENT", 2, [4]), "4 after a snapshot of 2"),
        (_told(None, [1, 2], "VENUE_SILENT", 2, [2, 3, 4]), "2 after 2: repeated"),
        (_told(None, [1], 3, [4]), "a snapshot of 3 after 1, without a gap"),
        (_told(None, [1, 2, 3]), "ends with 3"),
        (_told(), "ends with None"),
    ],
)
def test_what_is_not_as_promised(told: Told, fault: str) -> None:
    """Loss, repetition, disorder and a missing snapshot are faults."""
    assert any(fault in said for said in lossless_faults(told, 4))


def test_conflated_readers_may_skip() -> None:
    """What is skipped is no fault; disorder, and an end with an older value, are."""
    assert list(conflated_faults(_told(None, [2], "VENUE_SILENT", 2, [4]), 4)) == []
    assert len(list(conflated_faults(_told(None, [3], [2]), 4))) == 2
