"""What single adapters need beside the general way."""

import asyncio
from typing import Any

from services.market_data.engine.feed.hooks import noting
from services.market_data.engine.feed.troubles import RATE_LIMITED, UNREACHABLE

FIRST, LONGEST = 1.0, 30.0
"""Seconds between attempts to get the snapshot of a book."""

_SNAPSHOT = "_order_book_snapshot_then_deltas"


def mend(client: Any) -> None:
    """Mend a client before it connects.

    Binance: after a reconnect, the changes of a book are held back until its snapshot was had by
    HTTP; when that call fails nobody tries again, and the book stands still for ever.
    """
    original = getattr(client, _SNAPSHOT, None)
    if original is None:
        return

    async def until_had(instrument_id: Any) -> None:
        wait = FIRST
        while True:
            _, failed = await noting(original(instrument_id))
            if failed is None:
                return
            if failed.reason not in (RATE_LIMITED, UNREACHABLE):
                raise ValueError(failed.message)
            await asyncio.sleep(max(wait, failed.retry_after))
            wait = min(LONGEST, wait * 2)

    setattr(client, _SNAPSHOT, until_had)
