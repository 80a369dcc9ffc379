"""The feeds, for what is made before them: the hub needs the recorder, and the recorder the hub."""

import asyncio
from collections.abc import AsyncIterator

from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from services.market_data.live.domain import Channel
from services.market_data.live.frames import HistoryRows
from services.market_data.live.ports import Asked


class LateFeeds:
    """Asks the feeds as soon as there are any."""

    def __init__(self) -> None:
        self._feeds: asyncio.Future[Asked] = asyncio.get_running_loop().create_future()

    def use(self, feeds: Asked) -> None:
        """Ask these from now on; to be called once."""
        self._feeds.set_result(feeds)

    async def instrument(
        self, project: str, feed_id: str, instrument_id: str
    ) -> InstrumentDefinition | None:
        """Return an instrument as the venue gives it; None when it has none."""
        feeds = await asyncio.shield(self._feeds)
        return await feeds.instrument(project, feed_id, instrument_id)

    async def history(
        self, project: str, feed_id: str, channel: Channel, start: int, end: int, limit: int = 0
    ) -> AsyncIterator[HistoryRows]:
        """Yield what the venue has of a closed range (unix ns), in the order of time."""
        feeds = await asyncio.shield(self._feeds)
        async for rows in feeds.history(project, feed_id, channel, start, end, limit):
            yield rows
