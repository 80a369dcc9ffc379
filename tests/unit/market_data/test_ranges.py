"""What is missing of a range."""

import random

import pytest

from services.market_data.ranges import Range, missing


@pytest.mark.parametrize(
    ("known", "holes"),
    [
        ([], [(10, 20)]),
        ([(0, 30)], []),
        ([(10, 12), (15, 15), (18, 25)], [(13, 14), (16, 17)]),
        ([(21, 30), (0, 9)], [(10, 20)]),
        ([(12, 13), (0, 15)], [(16, 20)]),
    ],
)
def test_holes_lie_between_what_is_known(known: list[Range], holes: list[Range]) -> None:
    """The holes of 10 to 20, in order, both ends included."""
    assert missing((10, 20), known) == holes


def test_holes_and_known_make_the_whole() -> None:
    """Of drawn ranges, each time is either known or in exactly one hole."""
    draw = random.Random(5)
    for _ in range(300):
        known = [(a, a + draw.randrange(8)) for a in (draw.randrange(50) for _ in range(6))]
        holes = missing((5, 40), known)
        inside = [time for first, last in holes for time in range(first, last + 1)]
        covered = {time for first, last in known for time in range(first, last + 1)}
        assert inside == sorted(set(range(5, 41)) - covered)
