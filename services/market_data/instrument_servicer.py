"""RPC methods of the instrument service."""

import asyncio
from typing import Any

from mesh.marketdata.v1 import instrument_service_pb2 as rpc
from mesh.marketdata.v1.instrument_service_pb2_grpc import InstrumentServiceServicer
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from meshkit.paging import page
from services.market_data import convert
from services.market_data.domain import StoredInstrument
from services.market_data.engine import instruments as engine
from services.market_data.errors import InstrumentExists, InstrumentInUse, InstrumentNotFound
from services.market_data.store import InstrumentStore
from services.market_data.writing import Writer


class InstrumentServicer(InstrumentServiceServicer):
    """Unpack, call, pack."""

    def __init__(self, database: Database, store: InstrumentStore, writer: Writer) -> None:
        self._database = database
        self._store = store
        self._writer = writer

    async def CreateInstrument(self, request: rpc.CreateInstrumentRequest, _: Any) -> Any:
        """Check a definition with Nautilus and keep it."""
        project = caller().project(request.project)

        async def prepare() -> engine.Checked:
            return engine.check(request.definition)

        async def work(tx: Any, checked: engine.Checked) -> rpc.CreateInstrumentResponse:
            definition = checked.definition
            item = StoredInstrument(
                project=project,
                instrument_id=definition.instrument_id,
                owner=caller().subject,
                definition=definition.SerializeToString(deterministic=True),
                price_precision=checked.price_precision,
                size_precision=checked.size_precision,
            )
            made = await self._store.insert(tx, item)
            if made is None:
                raise InstrumentExists(
                    f"The project has an instrument {item.instrument_id}. Use it, or delete it.",
                    metadata={"instrument_id": item.instrument_id},
                )
            root = self._writer.catalog(project).root
            await asyncio.to_thread(engine.write, root, definition)
            return rpc.CreateInstrumentResponse(instrument=convert.instrument(made))

        return await once(
            self._database, request, rpc.CreateInstrumentResponse, work, prepare=prepare
        )

    async def GetInstrument(self, request: rpc.GetInstrumentRequest, _: Any) -> Any:
        """Return an instrument."""
        project = caller().project(request.project)
        async with self._database.connection() as tx:
            found = await self.find(tx, project, request.instrument_id)
        return rpc.GetInstrumentResponse(instrument=convert.instrument(found))

    async def ListInstruments(self, request: rpc.ListInstrumentsRequest, _: Any) -> Any:
        """Return instruments by id."""
        project = caller().project(request.project)
        wanted = page(request)
        after = wanted.after[0] if wanted.after else ""
        async with self._database.connection() as tx:
            rows = await self._matching(tx, project, request, after, wanted.size + 1)
        rows, token = wanted.cut(rows, key=lambda row: (row.instrument_id,))
        return rpc.ListInstrumentsResponse(
            instruments=[convert.instrument(row) for row in rows], next_page_token=token
        )

    async def _matching(
        self, tx: Any, project: str, request: rpc.ListInstrumentsRequest, after: str, limit: int
    ) -> list[StoredInstrument]:
        """Return instruments of the venue and type asked for; the type is known to the definition
        alone.
        """
        found: list[StoredInstrument] = []
        while len(found) < limit:
            rows = await self._store.page(tx, project, request.venue, after, limit)
            types = [convert.instrument(row).definition.type for row in rows]
            found += [r for r, t in zip(rows, types, strict=True) if request.type in {0, t}]
            if len(rows) < limit:
                break
            after = rows[-1].instrument_id
        return found[:limit]

    async def DeleteInstrument(self, request: rpc.DeleteInstrumentRequest, _: Any) -> Any:
        """Remove an instrument without data."""
        project = caller().project(request.project)

        async def work(tx: Any) -> rpc.DeleteInstrumentResponse:
            found = await self.find(tx, project, request.instrument_id)
            rows = await self._store.rows_of(tx, project, found.instrument_id)
            if rows:
                raise InstrumentInUse(
                    f"There are {rows} rows of {found.instrument_id}. Delete them first.",
                    metadata={"instrument_id": found.instrument_id, "rows": str(rows)},
                )
            await self._store.delete(tx, project, found.instrument_id)
            root = self._writer.catalog(project).root
            await asyncio.to_thread(engine.remove, root, found.instrument_id)
            return rpc.DeleteInstrumentResponse()

        return await once(self._database, request, rpc.DeleteInstrumentResponse, work)

    async def find(self, tx: Any, project: str, instrument_id: str) -> StoredInstrument:
        """Return an instrument or raise ``InstrumentNotFound``."""
        found = await self._store.find(tx, project, instrument_id)
        if found is None:
            raise InstrumentNotFound(
                f"There is no instrument '{instrument_id}' in project '{project}'.",
                metadata={"instrument_id": instrument_id, "project": project},
            )
        return found
