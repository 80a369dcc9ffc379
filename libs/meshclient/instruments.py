"""Instruments of a project."""

from collections.abc import Sequence
from typing import Any

import grpc.aio

from mesh.marketdata.v1 import instrument_pb2 as pb
from mesh.marketdata.v1 import instrument_service_pb2 as rpc
from mesh.marketdata.v1.instrument_service_pb2_grpc import InstrumentServiceStub
from meshclient.errors import MeshClientError
from meshclient.group import Group, new_request_id


class Instruments(Group):
    """``mesh.instruments``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return InstrumentServiceStub(channel)

    async def create(self, definition: pb.InstrumentDefinition) -> pb.Instrument:
        """Make an instrument; what is left out gets the default of its Nautilus class."""
        request = rpc.CreateInstrumentRequest(
            request_id=new_request_id(), project=self._project, definition=definition
        )
        made: pb.Instrument = (await self._call("CreateInstrument", request)).instrument
        return made

    async def ensure(self, definition: pb.InstrumentDefinition) -> None:
        """Make an instrument unless there is one of its id."""
        try:
            await self.create(definition)
        except MeshClientError as error:
            if error.reason != "INSTRUMENT_EXISTS":
                raise

    async def get(self, instrument_id: str) -> pb.Instrument:
        """Return an instrument."""
        request = rpc.GetInstrumentRequest(project=self._project, instrument_id=instrument_id)
        found: pb.Instrument = (await self._call("GetInstrument", request)).instrument
        return found

    async def list(self, *, venue: str = "", limit: int | None = None) -> Sequence[pb.Instrument]:
        """Return the project's instruments, the oldest first."""
        request = rpc.ListInstrumentsRequest(project=self._project, venue=venue)
        pages = self._pages("ListInstruments", request, "instruments", limit)
        return [each async for each in pages]

    async def delete(self, instrument_id: str) -> None:
        """Remove a definition; refused while there is data of it."""
        request = rpc.DeleteInstrumentRequest(
            request_id=new_request_id(), project=self._project, instrument_id=instrument_id
        )
        await self._call("DeleteInstrument", request)
