"""The ring and the cursor of Watch, without stores."""

import pytest

from mesh.events.v1.events_pb2 import Event
from meshkit import watch_cursor
from meshkit.errors import InvalidCursor
from meshkit.watch_ring import Ring


def fill(ring: Ring, *numbers: int) -> None:
    """Add facts by number."""
    for number in numbers:
        ring.add(number, Event(number=number).SerializeToString())


def after(ring: Ring, number: int, limit: int = 100) -> list[int] | None:
    """Return the numbers that the ring gives."""
    events = ring.after(number, limit)
    return None if events is None else [event.number for event in events]


def test_a_ring_gives_what_comes_next() -> None:
    """From any place inside the run, and nothing where the next one is not in it."""
    ring = Ring(place=4)
    assert after(ring, 4) is None
    fill(ring, 5, 6, 7, 6, 7)  # known ones are ignored
    assert after(ring, 4) == [5, 6, 7]
    assert after(ring, 5, limit=1) == [6]
    assert after(ring, 3) is None
    assert after(ring, 7) is None
    assert ring.head == 7


def test_a_hole_starts_a_new_run() -> None:
    """After a hole the ring has only what is whole; the rest is read elsewhere."""
    ring = Ring()
    fill(ring, 1, 2, 5, 6)
    assert after(ring, 2) is None
    assert after(ring, 4) == [5, 6]


def test_a_ring_is_bounded_in_length_and_bytes() -> None:
    """The oldest go, one by one; a fact larger than the bound is not kept."""
    ring = Ring(longest=3)
    fill(ring, 1, 2, 3, 4)
    assert after(ring, 0) is None
    assert after(ring, 1) == [2, 3, 4]
    small = Ring(largest=100)
    small.add(1, Event(number=1, subject="x" * 80).SerializeToString())
    small.add(2, Event(number=2, subject="x" * 200).SerializeToString())
    assert after(small, 0) is None
    assert after(small, 1) is None
    assert small.head == 2


def test_a_cursor_keeps_every_stream() -> None:
    """A cursor is a vector of numbers, and holds nothing that a URL would not."""
    numbers = {"facts:a": 1, "facts:b": 2**53}
    cursor = watch_cursor.encode("origin", "filter", numbers)
    assert watch_cursor.decode(cursor, "origin", "filter") == numbers
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("position", range(0, 50, 7))
def test_a_changed_cursor_is_noticed(position: int) -> None:
    """Any changed character is damage."""
    cursor = watch_cursor.encode("origin", "filter", {"facts:a": 1})
    other = "A" if cursor[position] != "A" else "B"
    with pytest.raises(InvalidCursor, match="damaged"):
        watch_cursor.decode(cursor[:position] + other + cursor[position + 1 :], "origin", "filter")
