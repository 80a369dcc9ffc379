"""A board as a table for the terminal, and as plain lines for pipes and logs."""

from datetime import UTC, datetime

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.cli.board import Board, Cell, Note, Row
from meshclient.cli.progress import short

_FADE = 4.0  # seconds for which a change is coloured
_BETWEEN = 3  # signs between columns
_FIXED = {"per s": 6, "age": 4, "state": 9}
_SHORTEST_NAME = 16
_AROUND = 8  # lines of the picture beside the rows
_STYLES = {"gap": "yellow", "failed": "red", "mended": "green"}
_STATES = {
    pb.ITEM_STATE_LIVE: ("● live", "green"),
    pb.ITEM_STATE_PENDING: ("○ waiting", "dim"),
    pb.ITEM_STATE_STALE: ("◌ stale", "yellow"),
    pb.ITEM_STATE_FAILED: ("✗ failed", "red"),
}


class BoardView:
    """Draws a board; columns only ever grow, so that nothing jumps."""

    def __init__(self, title: str, rates: bool = True) -> None:
        self.title = title
        self._rates = rates
        self.notice = ""
        """Said beside the title while it is not empty, such as that the connection is lost."""
        self._widths = {"name": 12}

    def picture(self, board: Board, now: float, room: int, width: int = 100) -> RenderableType:
        """Return the picture in at most ``room`` lines of ``width`` signs."""
        rows = board.rows()
        shown = rows[: max(room - _AROUND, 1)]
        more = len(rows) - len(shown)
        foot = [Text(f"… {more} more; a higher window shows them", style="dim")] if more else []
        return Group(self._head(board, now), self._table(shown, now, width), *foot)

    def _head(self, board: Board, now: float) -> Text:
        total = sum(row.rate(now) for row in board.rows())
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(self.title, style="bold")
        told = f"   {short(total)}/s" if self._rates else ""
        head.append(f"   {data_time(board.event_time)}{told}", style="dim")
        if self.notice:
            head.append(f"   {self.notice}", style="yellow")
        return head

    def _table(self, rows: list[Row], now: float, width: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
        columns = self._columns(rows)
        prices = {name: self._width(name, rows) for name in columns}
        left, fixed = _fitted(width, prices, self._rates)
        named = min(self._width("name", rows), left)
        table.add_column("instrument", no_wrap=True, width=named, overflow="ellipsis")
        for name, size in prices.items():
            table.add_column(name, justify="right", no_wrap=True, width=size)
        for name, size in fixed.items():
            justify: JustifyMethod = "left" if name == "state" else "right"
            table.add_column(name, justify=justify, no_wrap=True, width=size)
        for row in rows:
            cells = [_price(row, name, now) for name in columns]
            others = {"per s": _rate(row, now), "age": _age(row, now), "state": _state(row)}
            table.add_row(Text(row.name), *cells, *(others[name] for name in fixed))
        return table

    def _columns(self, rows: list[Row]) -> list[str]:
        """Return the columns of prices that anything is in, once seen for good."""
        for name in ("bid", "ask", "last"):
            if any(getattr(row, name).text for row in rows):
                self._widths.setdefault(name, 8)
        return [name for name in ("bid", "ask", "last") if name in self._widths]

    def _width(self, column: str, rows: list[Row]) -> int:
        texts = [row.name if column == "name" else row.shown(column) for row in rows]
        widest = max([self._widths.get(column, 8), *map(len, texts)])
        self._widths[column] = widest
        return widest


def _fitted(width: int, prices: dict[str, int], rates: bool) -> tuple[int, dict[str, int]]:
    """Return the room for names, and the other columns: what tells least goes where it is narrow.

    Long names are cut before that.
    """
    fixed = {name: size for name, size in _FIXED.items() if rates or name != "per s"}
    for name in ("age", "per s", "state", ""):
        taken = sum(size + _BETWEEN for size in [*prices.values(), *fixed.values()]) + 2
        if width - taken >= _SHORTEST_NAME:
            break
        fixed.pop(name, None)
    return max(width - taken, _SHORTEST_NAME), fixed


def note_line(note: Note) -> Text:
    """Return a note with the time of day, UTC."""
    line = Text(f"{datetime.now(UTC):%H:%M:%S}  ", style="dim", overflow="fold")
    return line.append(note.text, style=_STYLES.get(note.style, ""))


def plain_line(row: Row, event_time: int, width: int = 0) -> str:
    """Return a row as a line for pipes and logs; names take ``width`` signs at least."""
    prices = ((name, row.shown(name)) for name in ("bid", "ask", "last"))
    told = "  ".join(f"{name} {text}" for name, text in prices if text)
    return f"{data_time(event_time)}  {row.name:<{width}}  {told}"


def data_time(nanos: int) -> str:
    """Return unix nanoseconds as a time in UTC to the millisecond; dashes for none."""
    if not nanos:
        return "–"
    time = datetime.fromtimestamp(nanos // 10**9, UTC)
    return f"{time:%Y-%m-%d %H:%M:%S}.{nanos % 10**9 // 10**6:03d}"


def age_text(seconds: float | None) -> str:
    """Return an age in whole steps, so that it does not flicker."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return "<1s"
    if seconds < 120:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 7200 else f"{seconds / 3600:.0f}h"


def _price(row: Row, name: str, now: float) -> Text:
    cell: Cell = getattr(row, name)
    told = row.shown(name) if cell.text else ""
    if not cell.direction or now - cell.changed > _FADE:
        return Text(told)
    return Text(told, style="green" if cell.direction > 0 else "red")


def _rate(row: Row, now: float) -> Text:
    rate = row.rate(now)
    return Text(f"{rate:.1f}" if 0 < rate < 10 else short(rate), style="" if rate else "dim")


def _age(row: Row, now: float) -> Text:
    age = row.age(now)
    return Text(age_text(age), style="dim" if age is None or age < 10 else "yellow")


def _state(row: Row) -> Text:
    text, style = _STATES.get(row.item().state, ("?", "dim"))
    return Text(text, style=style)
