"""What a replay sends is what the catalog has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from integration.market_data.replay.made import (
    AUD,
    BTC,
    EVERY,
    SECOND,
    START,
    described,
    quotes,
    rows_of,
    times,
    trades,
    write,
)
from services.market_data.live import frames


async def test_every_kind(catalog: Path, replay: Callable[..., Any]) -> None:
    """Each row of each kind comes once, in order, as it is stored."""
    write(catalog, *EVERY.values())
    async with replay() as feed:
        for number, channel in enumerate(EVERY):
            feed.send(frames.Open(number, *channel))
            await feed.item(number, "LIVE")
        await feed.control("resume")
        await feed.end()
        for number, rows in enumerate(EVERY.values()):
            assert rows_of(feed.batches(number)) == described(rows)
        sequences = [batch.sequence for batch in feed.of(frames.Batch)]
        assert sequences == list(range(1, len(sequences) + 1))
        assert max(batch.rows for batch in feed.of(frames.Batch)) <= 500
