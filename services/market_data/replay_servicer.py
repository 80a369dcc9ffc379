"""RPC method of the feed service that streams stored data for replay in lockstep."""

from collections.abc import AsyncIterator
from typing import Any

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit import watch_cursor
from meshkit.context import caller
from services.market_data import convert
from services.market_data.ahead import ahead
from services.market_data.domain import Series
from services.market_data.errors import bad_field
from services.market_data.finding import Finder
from services.market_data.live.replay.reading import Place, Selected, responses


class ReplayMethods:
    """Unpack, call, pack; a part of the feed servicer."""

    _finder: Finder

    async def ReadReplay(
        self, request: rpc.ReadReplayRequest, _: Any
    ) -> AsyncIterator[rpc.ReadReplayResponse]:
        """Stream stored rows of many channels in one order of time."""
        project = caller().project(request.project)
        start, end = convert.range_of(request.range)
        filter_hash = watch_cursor.filter_hash(request)
        place = Place.of(request.after_cursor, filter_hash)
        selected = await self._selected(project, request, start, end)
        first = rpc.ReadReplayResponse(instruments=await self._definitions(project, selected))
        first.cursor = place.cursor(filter_hash) if request.after_cursor else ""
        yield first
        async for message in ahead(responses(selected, start, end, place, filter_hash)):
            yield message

    async def _selected(
        self, project: str, request: rpc.ReadReplayRequest, start: int, end: int
    ) -> list[Selected]:
        selected: list[Selected] = []
        for index, channel in enumerate(request.channels):
            name = f"channels[{index}]"
            kind = convert.kind_name(channel.kind)
            series = Series.of(name, kind, channel.instrument_id, channel.bar_type)
            if any(each.series == series for each in selected):
                raise bad_field(name, "is a channel that the request has already")
            opened = await self._finder.open(project, series, start, end, {"channel": str(index)})
            whole = live.Channel(
                kind=channel.kind, instrument_id=series.instrument_id, bar_type=series.bar_type
            )
            selected.append(Selected(series, whole, opened))
        return selected

    async def _definitions(
        self, project: str, selected: list[Selected]
    ) -> list[InstrumentDefinition]:
        found = []
        for instrument_id in dict.fromkeys(each.series.instrument_id for each in selected):
            stored = await self._finder.instrument(project, instrument_id, {})
            found.append(convert.instrument(stored).definition)
        return found
