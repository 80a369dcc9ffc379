"""Tables that fit a terminal: the columns that tell least go where it is narrow."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

_BETWEEN = 3  # signs between columns
_FOLDED = 20  # what a column asks for whose cells may be folded


def fitted(
    columns: Sequence[str], widths: Mapping[str, int], room: int, drop: Sequence[str]
) -> list[str]:
    """Return the columns that ``room`` signs hold, leaving out those of ``drop`` in its order."""
    kept = list(columns)
    for name in drop:
        if sum(widths.get(each, 0) + _BETWEEN for each in kept) - 1 <= room:
            break
        if name in kept:
            kept.remove(name)
    return kept


def widths_of(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], folded: Sequence[str] = ()
) -> dict[str, int]:
    """Return the widths that columns ask for; those of ``folded`` ask for little."""
    found = {}
    for index, name in enumerate(columns):
        cells = [len(name), *(_width(row[index]) for row in rows)]
        found[name] = min(max(cells), _FOLDED) if name in folded else max(cells)
    return found


def picked(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], kept: Sequence[str]
) -> list[list[Any]]:
    """Return the rows with the kept columns alone."""
    places = [columns.index(name) for name in kept]
    return [[row[place] for place in places] for row in rows]


def _width(cell: object) -> int:
    return cell.cell_len if isinstance(cell, Text) else len(str(cell))
