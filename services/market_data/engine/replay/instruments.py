"""Instruments of a project's catalog, read one by one when they are asked for.

Nautilus' catalog would read all classes' folders for one.
"""

import logging
from glob import escape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from nautilus_trader.model import instruments as classes
from nautilus_trader.serialization.arrow.serializer import ArrowSerializer

from meshkit.nautilus.instruments import class_names
from services.market_data.engine.feed.troubles import Trouble
from services.market_data.engine.replay.span import Span
from services.market_data.engine.replay.stored import steadily

log = logging.getLogger("market_data.feed")


class StoredInstruments:
    """Reads them; ``ask`` answers as a venue's adapter does."""

    def __init__(self, root: Path, span: Span) -> None:
        self._root, self._span = root, span
        self._read: dict[Path, tuple[float, Any]] = {}

    async def ask(self, _: str, request: Any) -> tuple[list[Any], Trouble | None]:
        """Return the instrument that is asked for, newest definition, or none."""
        wanted = str(request.instrument_id)
        if not self._span.lists(wanted):
            return [], None
        found = await steadily(lambda _: self._named(escape(wanted.replace("/", ""))))
        return [each for each in found if str(each.id) == wanted], None

    async def all(self) -> list[Any]:
        """Return all that may be played."""
        found = await steadily(lambda _: self._named("*"))
        return [each for each in found if self._span.lists(str(each.id))]

    def _named(self, pattern: str) -> list[Any]:
        """Return the newest instrument of each folder whose name matches, in any class."""
        newest: dict[Path, Path] = {}
        for name, class_name in class_names().items():
            kind = getattr(classes, class_name)
            for path in sorted(self._root.glob(f"data/{name.lower()}/{pattern}/*.parquet")):
                newest[path.parent] = path
                self._load(kind, path)
        return [self._read[path][1] for path in newest.values() if path in self._read]

    def _load(self, kind: Any, path: Path) -> None:
        written = path.stat().st_mtime
        if path in self._read and self._read[path][0] == written:
            return
        with path.open("rb") as file:
            table = pq.ParquetFile(file).read()
        made = ArrowSerializer.deserialize(data_cls=kind, batch=table)
        if made:
            self._read[path] = written, made[-1]
