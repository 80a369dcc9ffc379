"""Commits whose answer is lost: MD-86e."""

import asyncio
from typing import Any

import pytest

from integration.market_data.recording.conftest import OWNER, PROJECT, Lab, until
from integration.market_data.recording.rows import batches_of, channel_of, trade
from services.market_data.adding import APPEND, Adder, Addition
from services.market_data.file_store import FileStore
from services.market_data.live.recording.columns import Precision, rows_of
from services.market_data.live.recording.taking import series_of

SERIES = series_of(channel_of("TRADE_TICK"))


async def _nothing(tx: Any, _: int) -> None:
    """Commit nothing else."""


def _trades(start: int, end: int) -> Addition:
    batches = batches_of("TRADE_TICK", [trade(number) for number in range(start, end)])
    rows = rows_of(SERIES, batches, Precision(3, 0))
    return Addition(PROJECT, OWNER, SERIES, rows, APPEND)


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_md86_an_addition_that_is_cancelled_while_it_commits(lab: Lab, turns: int) -> None:
    """MD-86e: a commit that nobody waits for any more is carried out or undone as a whole, with
    the older rows that were joined with it.
    """
    adder = Adder(lab.database, FileStore(), lab.folder / "catalog")
    await adder.add(_trades(0, 10), _nothing)
    committed = False

    async def cancelled(tx: Any, _: int) -> None:
        nonlocal committed
        committed = True
        _cancel_after(turns, adding)

    adding = asyncio.create_task(adder.add(_trades(10, 20), cancelled))
    await asyncio.gather(adding, return_exceptions=True)
    assert committed

    async def settled() -> bool:
        async with lab.database.connection() as tx:
            return not await FileStore().moves(tx)

    await until(settled)
    stored = (await lab.stored(SERIES))["trade_id"].to_pylist()
    names = [str(number) for number in range(20)]
    assert stored in (names[:10], names)
    staging = lab.catalog / ".staging"
    await until(lambda: not list(staging.iterdir()))


def _cancel_after(turns: int, task: "asyncio.Task[int]") -> None:
    loop = asyncio.get_running_loop()
    if turns:
        loop.call_soon(_cancel_after, turns - 1, task)
    else:
        loop.call_soon(task.cancel)
