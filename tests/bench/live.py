"""Live data as a client reads it: one that counts, and knows when each row came."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.venue import PLACES, WRAP
from mesh.marketdata.v1 import live_pb2 as live
from meshclient.batches import Batch
from meshclient.client import MeshClient
from meshclient.watching import Watch

PATIENCE = 120.0
"""Seconds for a feed to be live, and for a watcher to get all: a benchmark that hangs says so."""


@dataclass
class Reader:
    """Takes ``total`` rows; the first ``warm`` are not measured. ``at`` is called at both ends.

    ``step`` is the time between two rows of a channel in ns, 0 when that is not known.
    """

    total: int
    warm: int = 0
    stamped: bool = False
    step: int = 0
    at: Callable[[], dict[str, float]] = dict
    rows: int = 0
    batches: int = 0
    seconds: float = 0.0
    measured: int = 0
    spent: dict[str, float] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    _latencies: list[Any] = field(default_factory=list)

    async def read(self, watch: Watch) -> None:
        """Read to the end; raises when the stream says a gap or time goes back."""
        began, first = 0.0, -1
        before: dict[str, float] = {}
        async with asyncio.timeout(PATIENCE):
            async for item in watch:
                if isinstance(item, live.FeedGap):
                    raise AssertionError(f"a gap: {item}")
                if not isinstance(item, Batch):
                    continue
                self._take(item)
                if first < 0 and self.rows > self.warm:
                    began, before, first = time.perf_counter(), self.at(), self.rows
                if self.rows >= self.total:
                    break
        self.seconds = time.perf_counter() - began
        self.spent = {part: took - before.get(part, 0.0) for part, took in self.at().items()}
        self.measured = self.rows - first
        assert self.rows == self.total, f"{self.rows:,} rows instead of {self.total:,}"

    def _take(self, batch: Batch) -> None:
        now = time.time_ns() // 1000
        self.rows += batch.rows
        self.batches += 1
        self._check(batch.channel.instrument_id, np.frombuffer(batch.message.ts_init, "<i8"))
        if self.stamped and self.rows > self.warm:
            lots = np.frombuffer(batch.message.quotes.ask_size, "<i8")
            sent = lots // 10 ** (batch.message.size_precision - PLACES)
            self._latencies.append((now - sent) % WRAP)

    def _check(self, name: str, times: Any) -> None:
        before, self._last[name] = self._last.get(name, 0), int(times[-1])
        assert int(times[0]) >= before, "time goes back"
        if self.step:
            assert not before or int(times[0]) == before + self.step, "rows are missing"
            assert bool((np.diff(times) == self.step).all()), "rows are missing"

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.measured / self.seconds

    @property
    def latencies(self) -> Any:
        """Microseconds from sending to having, of each row."""
        return np.concatenate(self._latencies)


@asynccontextmanager
async def subscribed(
    client: MeshClient, feed_id: str, venue: str, config: Mapping[str, Any], *wanted: str
) -> AsyncIterator[str]:
    """Make a feed and a lossless subscription; give its id once all is live."""
    await client.feeds.create(feed_id, venue, config)
    try:
        made = await client.market_data.subscribe(feed_id, *wanted, lossless=True)
        try:
            await _live(client, made.subscription_id)
            yield made.subscription_id
        finally:
            await client.market_data.delete(made.subscription_id)
    finally:
        await client.feeds.delete(feed_id)


async def _live(client: MeshClient, subscription_id: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        items = (await client.market_data.get(subscription_id)).items
        if all(each.state == live.ITEM_STATE_LIVE for each in items):
            return
        if any(each.state == live.ITEM_STATE_FAILED for each in items):
            break
        await asyncio.sleep(0.1)
    raise AssertionError(f"cannot be subscribed: {items}")


@asynccontextmanager
async def watching(
    client: MeshClient, subscription_id: str, reader: Reader
) -> AsyncIterator["asyncio.Task[None]"]:
    """Let a reader read columns in a task, once its stream is attached."""
    async with client.market_data.watch(subscription_id, columns=True) as watch:
        await anext(watch)  # the first snapshot
        task = asyncio.create_task(reader.read(watch))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
