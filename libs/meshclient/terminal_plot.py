"""A line plot for the terminal in Braille dots: no dependency, any width."""

from collections.abc import Sequence
from datetime import UTC, datetime

# Bits of the eight dots of a Braille sign, by column and row.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def plot(
    times: Sequence[float], values: Sequence[float], *, width: int = 78, height: int = 12
) -> str:
    """Return lines of text with a curve: ``times`` in unix seconds, ascending; ``values`` beside.

    ``width`` and ``height`` count signs, labels included; at least 30 × 5.
    """
    if not values:
        return "(no points)"
    if (low := min(values)) == (high := max(values)):
        low, high = low - 0.5, high + 0.5  # a flat line runs through the middle
    labels = _labels(low, high, height - 2)
    margin = max(len(label) for label in labels) + 2
    columns, rows = max(width - margin, 10), height - 2
    cells = _cells(_spans(times, values, columns * 2), low, high, rows)
    lines = [
        f"{label:>{margin - 2}} ┤{''.join(chr(0x2800 + cell) for cell in row)}"
        for label, row in zip(labels, cells, strict=True)
    ]
    lines.append(" " * (margin - 1) + "└" + "─" * columns)
    lines.append(" " * margin + _time_axis(times[0], times[-1], columns))
    return "\n".join(line.rstrip("\u2800 ") for line in lines)


Span = tuple[float, float, float]
"""Lowest, highest and last value of a dot column."""


def _cells(spans: Sequence[Span | None], low: float, high: float, rows: int) -> list[list[int]]:
    """Return the Braille bits of each sign: each dot column spans its values from low to high."""
    cells = [[0] * (len(spans) // 2) for _ in range(rows)]
    scale = (rows * 4 - 1) / (high - low)
    before = None
    for x, span in enumerate(spans):
        if span is None:
            continue
        ends = [round((high - value) * scale) for value in span]
        top, bottom = min(ends[:2]), max(ends[:2])
        if before is not None:  # joined to the column before
            top, bottom = min(top, before), max(bottom, before)
        for y in range(top, bottom + 1):
            cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
        before = ends[2]
    return cells


def _spans(times: Sequence[float], values: Sequence[float], columns: int) -> list[Span | None]:
    """Return the values of each dot column; between points the last one holds."""
    start, length = times[0], times[-1] - times[0]
    spans: list[Span | None] = [None] * columns
    for time, value in zip(times, values, strict=True):
        x = min(int((time - start) / length * columns), columns - 1) if length else 0
        old = spans[x]
        spans[x] = (min(old[0], value), max(old[1], value), value) if old else (value,) * 3
    for x in range(1, columns):
        last = spans[x - 1]
        if spans[x] is None and last is not None:
            spans[x] = (last[2],) * 3
    return spans


def _labels(low: float, high: float, rows: int) -> list[str]:
    """Return the label of each row: a number at the top, the middle and the bottom."""
    digits = 2 if abs(high) < 100_000 else 0
    shown = {0: high, rows // 2: high - (high - low) * (rows // 2) / (rows - 1), rows - 1: low}
    return [f"{shown[row]:,.{digits}f}" if row in shown else "" for row in range(rows)]


def _time_axis(first: float, last: float, columns: int) -> str:
    form = "%Y-%m-%d %H:%M" if last - first < 14 * 86400 else "%Y-%m-%d"
    left, right = (datetime.fromtimestamp(t, UTC).strftime(form) for t in (first, last))
    return left + right.rjust(columns - len(left))
