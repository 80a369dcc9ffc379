"""Where the rows of a series are, for all that read them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from services.market_data.catalog import File, Opened
from services.market_data.domain import Series, StoredInstrument
from services.market_data.errors import InstrumentNotFound
from services.market_data.file_store import Covered, FileStore
from services.market_data.store import InstrumentStore
from services.market_data.writing import Writer

MOVE_LOOKS, MOVE_SECONDS = 100, 0.05
"""How often, and after what time, a file is looked for that is being moved into place."""

type Flush = Callable[[str, Series], Awaitable[None]]
"""Writes all that was received of a series of a project."""


class Finder:
    """Finds and opens the files of a range; the errors say what there is instead."""

    def __init__(
        self, database: Database, files: FileStore, instruments: InstrumentStore, writer: Writer
    ) -> None:
        self._database = database
        self._files = files
        self._instruments = instruments
        self._writer = writer
        self._flush: Flush | None = None

    def use(self, flush: Flush) -> None:
        """Have a recorder write what it has received before anything is read."""
        self._flush = flush

    async def fresh(self, project: str, series: Series) -> None:
        """See to it that what was received of a series until now is in the catalog."""
        if self._flush is not None:
            await self._flush(project, series)

    async def instrument(
        self, project: str, instrument_id: str, where: Mapping[str, str]
    ) -> StoredInstrument:
        """Return an instrument; raises ``InstrumentNotFound``."""
        async with self._database.connection() as tx:
            found = await self._instruments.find(tx, project, instrument_id)
        if found is None:
            raise InstrumentNotFound(
                f"There is no instrument '{instrument_id}' in project '{project}'.",
                metadata={"instrument_id": instrument_id, "project": project, **where},
            )
        return found

    async def open(
        self,
        project: str,
        series: Series,
        start: int,
        end: int,
        where: Mapping[str, str] | None = None,
    ) -> list[Opened]:
        """Open all files of a range: what is open can be read to its end, whatever is changed."""
        catalog = self._writer.catalog(project)
        for _ in range(MOVE_LOOKS):
            files = await self.found(project, series, start, end, where or {})
            try:
                return await asyncio.to_thread(catalog.open, files)
            except FileNotFoundError:  # decided, and just being moved
                await asyncio.sleep(MOVE_SECONDS)
        raise StoreUnavailable(
            "The data is being rewritten. Try again.", metadata={"store": "catalog"}
        )

    async def found(
        self, project: str, series: Series, start: int, end: int, where: Mapping[str, str]
    ) -> list[File]:
        """Return the files of a range; raises when there are none."""
        await self.fresh(project, series)
        async with self._database.connection() as tx:
            files = await self._files.find(tx, project, series, start, end)
            if files:
                return files
            covered = await self.covered_or_none(tx, project, series)
        if covered is None:
            raise series.no_data(where)
        raise series.outside(covered.first, covered.last, where)

    async def covered(self, tx: Any, project: str, series: Series) -> Covered:
        """Return the coverage of a series; raises ``NoData``."""
        found = await self.covered_or_none(tx, project, series)
        if found is None:
            raise series.no_data()
        return found

    async def covered_or_none(self, tx: Any, project: str, series: Series) -> Covered | None:
        """Return the coverage of a series, or None when there is none."""
        rows = await self._files.coverage(
            tx, project, series.kind, series.instrument_id, None, 10_000
        )
        return next((row for row in rows if row.series == series), None)
