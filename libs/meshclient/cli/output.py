"""Printing: tables for people, JSON for programs."""

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Console
from rich.table import Table

from meshclient.cli.fitting import fitted, picked, widths_of

_PIPED = 160
"""Width of tables in pipes and files: what is cut there is lost for good."""


class Output:
    """Prints on stdout; with ``as_json`` one JSON document and nothing else."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, stderr=as_json)
        self._tables = self.console
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self._tables = Console(highlight=False, stderr=as_json, width=_PIPED)

    @property
    def width(self) -> int:
        """Signs that a line of a table may have; more when nobody looks at it but a program."""
        return self._tables.width

    def json(self, value: object) -> None:
        """Print a value as JSON: messages under their own field names, tables as rows."""
        json.dump(plain(value), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a line for people: with ``as_json`` on stderr, otherwise on stdout."""
        self.console.print(text, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print an aside in dim, as ``say`` does."""
        self.console.print(text, style="dim", markup=False, soft_wrap=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str = "",
        right: Sequence[str] = (),
        whole: Sequence[str] = (),
        empty: str = "",
        drop: Sequence[str] = (),
    ) -> None:
        """Print a table. ``right`` columns are aligned right, ``whole`` ones are never cut, those
        of ``drop`` are left out in its order where the terminal is narrow.
        """
        if drop:
            rows = list(rows)
            folded = [name for name in columns if name not in (*whole, *right)]
            kept = fitted(columns, widths_of(columns, rows, folded), self.width, drop)
            columns, rows = kept, picked(columns, rows, kept)
        table = Table(
            box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False
        )
        for column in columns:
            table.add_column(
                column,
                justify="right" if column in right else "left",
                no_wrap=column in whole,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(text(cell) for cell in row))
        if table.row_count or not empty:
            self._tables.print(table)
        else:
            self.note(empty)

    def rows(self, table: pa.Table) -> None:
        """Print the rows of an Arrow table."""
        names = list(table.column_names)
        if {"ts_event", "ts_init"} <= set(names) and table["ts_event"].equals(table["ts_init"]):
            names.remove("ts_init")  # twice the same takes a third of the screen
        numeric = [name for name in names if pa.types.is_primitive(table.schema.field(name).type)]
        rows = [[_cell(row[name]) for name in names] for row in _rows(table)]
        self.table(names, rows, right=numeric, empty="No rows.")

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values beside each other; empty values are left out."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in pairs:
            if value not in ("", None):
                table.add_row(name, text(value))
        self.console.print(table)


def text(value: object) -> str:
    """Return a cell's text; markup signs in it mean nothing."""
    match value:
        case None:
            return "–"
        case Timestamp():
            return moment(value)
        case bool():
            return "yes" if value else "no"
        case float():
            return _figure(value)
        case int():
            return f"{value:,}"
    return str(value).replace("[", "\\[")


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table, times as text: nanoseconds fit no datetime."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            told = [_short(each) for each in table[index].cast(pa.string()).to_pylist()]
            table = table.set_column(index, field.name, pa.array(told, pa.string()))
    return list(table.to_pylist())


def _short(time: str | None) -> str | None:
    """Return a time as ISO 8601, without a fraction that is none."""
    return time and time.replace(".000000000", "").replace(" ", "T")


def _cell(value: object) -> object:
    """Return a cell of an Arrow table; decimals without trailing zeros."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def _figure(value: float) -> str:
    """Return four decimals; of small figures as many as say something."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.4f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"


def moment(stamp: Timestamp) -> str:
    """Return a time in UTC to the second; empty for an absent one."""
    if not stamp.seconds and not stamp.nanos:
        return ""
    return f"{stamp.ToDatetime():%Y-%m-%d %H:%M:%S}"


def plain(value: object) -> Any:
    """Return a value as JSON has it."""
    match value:
        case Message():
            return json_format.MessageToDict(
                value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        case pa.Table():
            return [plain(row) for row in _rows(value)]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case str() | bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return f"{value.normalize():f}"
        case _ if isinstance(value, Iterable):
            return [plain(item) for item in value]
    return str(value)


def size(count: int) -> str:
    """Return bytes for people."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
