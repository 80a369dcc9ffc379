"""History on a replay: what was stored before the position, since the rest is its future."""

import pyarrow as pa

from services.market_data.domain import Series
from services.market_data.engine.feed.channels import channel_of
from services.market_data.engine.feed.link import Link
from services.market_data.engine.feed.requests import NO_HISTORY
from services.market_data.engine.feed.requests import ROWS as PAGE
from services.market_data.engine.replay.player import Player
from services.market_data.engine.replay.stored import Rows, Stored
from services.market_data.live.frames import Answer, AskHistory, HistoryRows, Open
from services.market_data.live.stored_columns import batch_of
from services.market_data.tables import KINDS


class History:
    """Answers AskHistory."""

    def __init__(self, stored: Stored, player: Player, link: Link) -> None:
        self._stored, self._player, self._link = stored, player, link

    async def answer(self, ask: AskHistory) -> None:
        """Send the rows of a closed range of ``ts_init``, or with a limit the last of them."""
        if ask.kind not in KINDS or ask.bar_type.endswith("-INTERNAL"):
            text = "A replay has history of what is stored: internal bars are made, not kept."
            self._link.tell(Answer(ask.id, b"", NO_HISTORY, text))
            return
        series = Series(ask.kind, ask.instrument_id, ask.bar_type)
        failed = await self._player.refusal(series)
        if failed is not None:
            self._link.tell(Answer(ask.id, b"", failed.reason, failed.message))
            return
        end = min(ask.end, self._player.position - 1)
        rows = await self._stored.open(series, ask.start, end)
        if rows.opened and end >= ask.start:
            await self._send(ask, rows)
        self._link.tell(Answer(ask.id))

    async def _send(self, ask: AskHistory, rows: Rows) -> None:
        for batch in _last(rows, ask.limit) if ask.limit else rows.forwards():
            for start in range(0, batch.num_rows, PAGE):
                self._link.tell(_frame(ask, rows.series, batch.slice(start, PAGE)))
                await self._link.drained()  # and let live data through


def _last(rows: Rows, limit: int) -> list[pa.RecordBatch]:
    """Return the last rows, read from the end as far as needed."""
    found: list[pa.RecordBatch] = []
    missing = limit
    for batch in rows.backwards():
        part = batch.slice(max(0, batch.num_rows - missing))
        found.insert(0, part)
        missing -= part.num_rows
        if missing <= 0:
            break
    return found


def _frame(ask: AskHistory, series: Series, rows: pa.RecordBatch) -> HistoryRows:
    channel = channel_of(Open(0, ask.kind, ask.instrument_id, ask.bar_type))
    times = rows.column("ts_init")
    first, last = times[0].as_py(), times[-1].as_py()
    payload = batch_of(series, channel, rows).SerializeToString()
    return HistoryRows(ask.id, rows.num_rows, first, last, payload)
