"""Instruments that configs of components name: a node has them before its strategies start."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId

from meshclient.errors import MeshClientError
from meshnautilus.client import RETRY_S, MeshDataClient


def named(config: Any) -> set[InstrumentId]:
    """Return the instruments in a config, those of its bar types as well."""
    values = (getattr(config, name, None) for name in config.__struct_fields__)
    return {found for value in values for found in _within(value)}


def _within(value: Any) -> Iterator[InstrumentId]:
    if isinstance(value, InstrumentId):
        yield value
    elif isinstance(value, BarType):
        yield value.instrument_id
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _within(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _within(inner)


class Instruments:
    """Has instruments in a node's cache, from the mesh where that is the source of data."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def missing(self, made: Any) -> set[InstrumentId]:
        """Return what a component's config names and the node does not have."""
        cache = self._kernel.cache
        return {each for each in named(made.config) if cache.instrument(each) is None}

    def when_connected(self, wanted: Iterable[InstrumentId]) -> None:
        """Have the mesh's client load instruments too when it connects."""
        for client in self._clients():
            client.also.update(map(str, wanted))

    async def load(self, wanted: Iterable[InstrumentId]) -> None:
        """Load instruments now, however long the mesh is away; what there is not is in the log."""
        left = list(wanted)
        for client in self._clients():
            while left:
                try:
                    await asyncio.gather(*(client.try_need(each) for each in left))
                except MeshClientError:
                    await asyncio.sleep(RETRY_S)
                else:
                    left = []

    def _clients(self) -> list[MeshDataClient]:
        clients = self._kernel.data_engine._clients.values()
        return [client for client in clients if isinstance(client, MeshDataClient)]
