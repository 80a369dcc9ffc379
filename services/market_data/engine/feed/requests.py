"""Requests to the venue: history, and instruments that are not loaded.

The adapter's coroutine is called directly, not through the data engine: the engine would take
history for data of the moment, and a request that fails never calls back.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pandas as pd
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.messages import RequestBars, RequestQuoteTicks, RequestTradeTicks
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId

from mesh.marketdata.v1 import live_pb2 as live
from mesh.marketdata.v1 import marketdata_pb2
from meshkit import enums
from services.market_data.engine.feed.columns import fill
from services.market_data.engine.feed.hooks import implements, noting
from services.market_data.engine.feed.instruments import Instruments
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.node import FeedNode
from services.market_data.engine.feed.subscribing import BARS, QUOTES, TRADES
from services.market_data.engine.feed.troubles import UNREACHABLE, UNSUPPORTED, Trouble
from services.market_data.live.frames import Answer, AskHistory, HistoryRows

DEADLINE = 60.0
"""Seconds for history; the adapter may make many calls for it."""

LOOK_UP = 10.0
"""Seconds for one instrument."""

ROWS = 16_384
"""Rows in a frame of history."""

MARGIN = 1_000_000
"""Nanoseconds that are asked for beyond a range: adapters compute times in floating point, so that
a row of a venue's millisecond may lie just before it. Ranges that touch share and lose no row.
"""

_COROUTINES = {
    QUOTES: "_request_quote_ticks",
    TRADES: "_request_trade_ticks",
    BARS: "_request_bars",
}
NO_HISTORY = "HISTORY_UNSUPPORTED"


class Requests:
    """Asks the venue through its adapter, within a time."""

    def __init__(self, node: FeedNode) -> None:
        self._node = node

    async def ask(
        self, name: str, request: Any, seconds: float = LOOK_UP
    ) -> tuple[list[Any], Trouble | None]:
        """Return what one of the client's request coroutines answered: objects, or the trouble."""
        client: Any = self._node.client
        if not implements(client, name):
            return [], Trouble(UNSUPPORTED, "The adapter of the venue cannot ask for this.")
        found: list[Any] = []
        answered = asyncio.Event()

        def take(response: Any) -> None:
            found.extend(response.data if isinstance(response.data, list) else [response.data])
            answered.set()

        self._node.take_response(request.id, take)
        try:
            async with asyncio.timeout(seconds):
                _, failed = await noting(getattr(client, name)(request))
        except TimeoutError:
            failed = Trouble(UNREACHABLE, f"The venue did not answer within {seconds:g} s.")
        finally:
            self._node.forget_response(request.id)
        return found, None if answered.is_set() else failed


class History:
    """Answers AskHistory."""

    def __init__(self, requests: Requests, instruments: Instruments, link: Link) -> None:
        self._requests = requests
        self._instruments = instruments
        self._link = link

    async def answer(self, ask: AskHistory) -> None:
        """Send the rows that the venue has of a range, then the end or what went wrong."""
        instrument, missing = await self._instruments.find(ask.instrument_id)
        if missing is not None:
            self._refuse(ask.id, missing)
            return
        if ask.kind not in _COROUTINES:
            text = f"Venues are not asked for history of {ask.kind}."
            self._refuse(ask.id, Trouble(NO_HISTORY, text))
            return
        rows, failed = await self._requests.ask(_COROUTINES[ask.kind], _request(ask), DEADLINE)
        if failed is not None:
            reason = NO_HISTORY if failed.reason == UNSUPPORTED else failed.reason
            self._refuse(ask.id, Trouble(reason, failed.message, failed.retry_after))
            return
        for frame in _frames(ask, rows, instrument):
            self._link.tell(frame)
            await asyncio.sleep(0)  # let live data through
        self._link.tell(Answer(ask.id))

    def _refuse(self, number: int, failed: Trouble) -> None:
        answer = Answer(number, b"", failed.reason, failed.message, failed.retry_after)
        self._link.tell(answer)


def _request(ask: AskHistory) -> Any:
    start = pd.Timestamp(max(0, ask.start - MARGIN), tz="UTC")
    end = pd.Timestamp(ask.end + MARGIN, tz="UTC")
    instrument = InstrumentId.from_str(ask.instrument_id)
    if ask.kind == BARS:
        wanted = BarType.from_str(ask.bar_type)
        return RequestBars(
            wanted, start, end, ask.limit, None, instrument.venue, None, UUID4(), 0, {}
        )
    made = RequestQuoteTicks if ask.kind == QUOTES else RequestTradeTicks
    return made(instrument, start, end, ask.limit, None, instrument.venue, None, UUID4(), 0, {})


def _frames(ask: AskHistory, rows: list[Any], instrument: Any) -> Iterator[HistoryRows]:
    """Yield the rows within the range, by time.

    Adapters stamp ``ts_init`` of history as they like, many with the time of the request; here it
    is the time of the event, as in data that was recorded.
    """
    within = [row for row in rows if ask.start <= row.ts_event <= ask.end]
    within.sort(key=lambda row: row.ts_event)
    del within[ask.limit or len(within) :]
    kind = enums.number(marketdata_pb2.DataKind, ask.kind)
    channel = live.Channel(kind=kind, instrument_id=ask.instrument_id, bar_type=ask.bar_type)  # type: ignore[arg-type]  # a number
    for start in range(0, len(within), ROWS):
        part = within[start : start + ROWS]
        batch = live.MarketDataBatch(channel=channel)
        fill(ask.kind, part, batch, instrument.price_precision, instrument.size_precision)
        batch.ts_init = batch.ts_event
        yield HistoryRows(
            ask.id, len(part), part[0].ts_event, part[-1].ts_event, batch.SerializeToString()
        )
