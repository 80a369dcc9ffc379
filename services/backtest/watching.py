"""A run's stream: its changes from the fact log, and progress in between from Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import redis.asyncio
from redis.exceptions import RedisError

from mesh.backtest.v1.backtest_pb2 import BacktestChanged
from mesh.backtest.v1.backtest_service_pb2 import WatchBacktestResponse
from mesh.events.v1.events_pb2 import Event
from meshkit.watch import Batch, Checkpoint, WatchHub
from services.backtest import convert, events
from services.backtest.domain import FACTS, Run

RETRY_SECONDS = 1.0


class Watching:
    """Merges facts and progress of one run at a time."""

    def __init__(self, hub: WatchHub, client: redis.asyncio.Redis) -> None:
        self._hub = hub
        self._redis = client

    async def watch(
        self, run: Run, after_cursor: str, read: Callable[[], Awaitable[Run]]
    ) -> AsyncIterator[WatchBacktestResponse]:
        """Yield the run as it is (or what followed the cursor), then all up to its end.

        ``read`` reads the run anew: what is told first must not be older than the cursor.
        """
        facts = self._hub.watch(
            FACTS,
            cursor=after_cursor,
            filter_hash=run.backtest_id,
            accept=lambda event: event.subject == run.backtest_id,
        )
        queue: asyncio.Queue[WatchBacktestResponse | BaseException | None] = asyncio.Queue(64)
        tasks = [
            asyncio.create_task(self._facts(facts, None if after_cursor else read, queue)),
            asyncio.create_task(self._progress(run.backtest_id, queue)),
        ]
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _facts(
        self,
        facts: AsyncIterator[Checkpoint | Batch],
        read: Callable[[], Awaitable[Run]] | None,
        queue: "asyncio.Queue[WatchBacktestResponse | BaseException | None]",
    ) -> None:
        try:
            first = True
            async for item in facts:
                cursor = item.cursor
                if first and read:
                    run = await read()
                    whole = convert.backtest(run)
                    await queue.put(WatchBacktestResponse(backtest=whole, cursor=cursor))
                    if run.ended:
                        break
                elif isinstance(item, Batch):
                    if await _put_all(item, queue):
                        break
                else:
                    await queue.put(WatchBacktestResponse(cursor=cursor, checkpoint=True))
                first = False
        except Exception as error:  # it belongs to the stream's caller, not to this task
            await queue.put(error)
            return
        await queue.put(None)

    async def _progress(
        self, backtest_id: str, queue: "asyncio.Queue[WatchBacktestResponse | BaseException | None]"
    ) -> None:
        while True:
            with suppress(RedisError, OSError):  # progress is lossy: a dead Redis has none
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(events.channel(backtest_id))
                    async for message in channel.listen():
                        if message["type"] != "message" or queue.full():
                            continue
                        progress = convert.progress(json.loads(message["data"]))
                        queue.put_nowait(WatchBacktestResponse(progress=progress))
            await asyncio.sleep(RETRY_SECONDS)


async def _put_all(
    batch: Batch, queue: "asyncio.Queue[WatchBacktestResponse | BaseException | None]"
) -> bool:
    """Put each change; True after the one that ends the run."""
    for number, event in enumerate(batch.events, start=1):
        change = _change(event)
        # The cursor is that of the whole batch: only its last event may carry it.
        cursor = batch.cursor if number == len(batch.events) else ""
        await queue.put(WatchBacktestResponse(backtest=change.backtest, cursor=cursor))
    last = _change(batch.events[-1])
    return last.deleted or convert.ended(last.backtest)


def _change(event: Event) -> BacktestChanged:
    change = BacktestChanged()
    event.payload.Unpack(change)
    return change
