"""Workers: cases BT-02 to BT-07, on real stores and with real processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from integration.backtest import sample
from integration.backtest.conftest import Bench, eventually
from meshkit import outbox
from meshkit.publisher import Publisher
from services.backtest.domain import JOBS, Run
from services.backtest.task import ComponentTask

SLOW = """
import time
from services.strategy.examples.ema_cross import EmaCross
class Slow(EmaCross):
    def on_bar(self, bar):
        time.sleep(0.005)
        super().on_bar(bar)
"""
ON_BAR = """
from services.strategy.examples.ema_cross import EmaCross
class Bad(EmaCross):
    def on_bar(self, bar):
        {}
"""


async def submit(bench: Bench, *components: ComponentTask, count: int = 3_000) -> str:
    """Commit a run of components on generated bars, as the API does, and return its id."""
    instrument = sample.currency_pair()
    data = [sample.bars(instrument, side, count) for side in ("BID", "ASK")]
    catalog = sample.write(bench.catalog / "default", [instrument], *data)
    selections = [sample.selection(catalog, rows) for rows in data]
    run = Run(
        backtest_id=str(uuid.uuid4()),
        project="default",
        owner="tester",
        name="",
        labels={},
        spec={"venues": [sample.venue()]},
        manifest={},
        strategy_ids=("s",),
    )
    inputs = {
        "components": [vars(c) for c in components],
        "data": [vars(s) for s in selections],
        "instrument_ids": [str(instrument.id)],
        "start": selections[0].start,
        "end": selections[0].end,
    }
    async with bench.database.transaction() as tx:
        await bench.store.insert(tx, run, json.loads(json.dumps(inputs)))
        await outbox.enqueue(tx, JOBS, run.backtest_id)
    return run.backtest_id


def configured(text: str | None = None, name: str = "ema_cross") -> ComponentTask:
    """Return EMA cross, or code of its kind, on the bid bars."""
    config = {
        "instrument_id": "USD/JPY.SIM",
        "bar_type": sample.BAR.format("USD/JPY.SIM", "BID"),
        "trade_size": "100000",
    }
    return sample.inline("user", text, **config) if text else sample.component(name, **config)


async def state(bench: Bench, backtest_id: str, *states: str) -> Run:
    """Wait until the run is in one of the states and return it."""

    async def look() -> Run | None:
        async with bench.database.connection() as tx:
            run = await bench.store.find(tx, ["default"], backtest_id)
        return run if run is not None and run.state in states else None

    found: Run = await eventually(look, 60)
    return found


async def test_bt02_a_run_goes_to_its_end(bench: Bench) -> None:
    """BT-02: a job becomes a result: figures, tables in the archive, the outbox emptied."""
    async with Publisher(bench.database, bench.redis):
        backtest_id = await submit(bench, configured())
        bench.workers.start()
        run = await state(bench, backtest_id, "SUCCEEDED", "FAILED")
    assert run.state == "SUCCEEDED", run.failure
    assert run.result is not None
    assert run.result["total_orders"] > 10
    assert run.progress["fraction"] == pytest.approx(1.0, abs=0.01)
    folder = bench.archive / "default" / backtest_id / run.result["folder"]
    assert {p.stem for p in folder.glob("*.parquet")} >= {"orders", "fills", "equity"}
    async with bench.database.connection() as tx:
        assert await tx.fetchval("SELECT count(*) FROM outbox WHERE NOT done") == 0


@pytest.mark.parametrize(
    ("line", "reason", "where"),
    [
        ("raise ValueError('no such luck')", "STRATEGY_RAISED", 5),
        ("raise ValueError('a last word of many reads ' * 100_000)", "STRATEGY_RAISED", 5),
        ("import os; os._exit(7)", "WORKER_DIED", 0),
        ("self.hoard = bytearray(2**33)", "MEMORY_EXCEEDED", 5),
    ],
)
async def test_bt03_faults_of_user_code_are_told(
    bench: Bench, line: str, reason: str, where: int
) -> None:
    """BT-03: code that raises, exits or hoards fails its run alone, with reason and line."""
    async with Publisher(bench.database, bench.redis):
        bench.workers.start(MESH_BACKTEST_MEMORY_MB="1024")
        bad = await submit(bench, configured(ON_BAR.format(line)))
        run = await state(bench, bad, "SUCCEEDED", "FAILED")
        assert run.failure is not None
        assert (run.failure["reason"], run.failure.get("line", 0)) == (reason, where)
        assert "Traceback" not in run.failure["message"]
        assert len(run.failure["message"]) <= 2_000


async def test_bt04_cancel_stops_a_run(bench: Bench) -> None:
    """BT-04: a run under way stops soon after it is told to, and leaves no result."""
    async with Publisher(bench.database, bench.redis):
        bench.workers.start()
        backtest_id = await submit(bench, configured(SLOW))
        await state(bench, backtest_id, "RUNNING")
        async with bench.database.transaction() as tx:
            await bench.store.request_cancel(tx, backtest_id)
        run = await state(bench, backtest_id, "CANCELLED")
    assert run.result is None
    assert not list((bench.archive / "default" / backtest_id).iterdir())


async def test_bt05_kill_of_a_worker_ends_the_run_once(bench: Bench) -> None:
    """BT-05: after kill -9 of the worker another takes the run up, and it ends once."""
    async with Publisher(bench.database, bench.redis):
        first = bench.workers.start(MESH_WORKER_NAME="first")
        backtest_id = await submit(bench, configured(SLOW), count=600)
        await _progressed(bench, backtest_id)
        os.kill(first.pid, signal.SIGKILL)
        bench.workers.start(MESH_WORKER_NAME="second")
        run = await state(bench, backtest_id, "SUCCEEDED", "FAILED")
    assert (run.state, run.attempts) == ("SUCCEEDED", 2)
    async with bench.database.connection() as tx:
        told = await tx.fetch("SELECT number, event FROM facts ORDER BY number")
    assert [_state(row["event"]) for row in told] == ["RUNNING", "RUNNING", "SUCCEEDED"]


async def test_bt06_kill_of_a_runs_process_begins_it_again(bench: Bench) -> None:
    """BT-06: a process that is killed is no fault of the code: the run is begun again."""
    async with Publisher(bench.database, bench.redis):
        worker = bench.workers.start()
        backtest_id = await submit(bench, configured(SLOW), count=600)
        await _progressed(bench, backtest_id)
        busy = await asyncio.to_thread(_busy_children, worker.pid)
        assert len(busy) == 1
        os.kill(busy[0], signal.SIGKILL)
        run = await state(bench, backtest_id, "SUCCEEDED", "FAILED")
    assert (run.state, run.attempts) == ("SUCCEEDED", 2)


async def test_bt07_emptied_redis_loses_no_job(bench: Bench) -> None:
    """BT-07: a job that was in Redis when it was emptied is done all the same."""
    async with Publisher(bench.database, bench.redis):
        backtest_id = await submit(bench, configured())

        async def queued() -> Any:
            return await bench.redis.xlen(JOBS)

        await eventually(queued)
        await bench.redis.flushall()
        bench.workers.start()
        run = await state(bench, backtest_id, "SUCCEEDED", "FAILED")
    assert run.state == "SUCCEEDED"


async def test_bt08_a_run_that_kills_its_workers_fails(bench: Bench) -> None:
    """BT-08: a job whose workers died again and again ends as FAILED, and is parked."""
    async with Publisher(bench.database, bench.redis):
        backtest_id = await submit(bench, configured())
        await bench.redis.xgroup_create(JOBS, "workers", id="0", mkstream=True)

        async def taken() -> Any:
            return await bench.redis.xreadgroup("workers", "dead", {JOBS: ">"})

        await eventually(taken)
        for number in range(5):
            await bench.redis.xautoclaim(JOBS, "workers", f"dead-{number}", min_idle_time=0)
        bench.workers.start()
        run = await state(bench, backtest_id, "SUCCEEDED", "FAILED")
        assert run.failure is not None
        assert run.failure["reason"] == "WORKER_DIED"

        async def parked() -> Any:
            return await bench.redis.xlen(f"dead:{JOBS}")

        assert await eventually(parked) == 1


async def test_bt18_hashes_are_those_of_every_run(bench: Bench) -> None:
    """BT-18: a run has the seed of hashes that all runs have, so that it can be had again."""
    async with Publisher(bench.database, bench.redis):
        bench.workers.start()
        backtest_id = await submit(
            bench, configured(ON_BAR.format("raise ValueError(hash('mesh'))"))
        )
        run = await state(bench, backtest_id, "SUCCEEDED", "FAILED")
    assert run.failure is not None
    assert _seeded_hash() in run.failure["message"]


async def _progressed(bench: Bench, backtest_id: str) -> None:
    async def look() -> bool:
        run = await state(bench, backtest_id, "RUNNING")
        return bool(run.progress and run.progress["events"] > 0)

    await eventually(look)


def _seeded_hash() -> str:
    code = [sys.executable, "-c", "print(hash('mesh'))"]
    return subprocess.check_output(code, env={"PYTHONHASHSEED": "0"}, text=True).strip()


def _state(event: bytes) -> str:
    from mesh.backtest.v1.backtest_pb2 import BacktestChanged, BacktestState
    from mesh.events.v1.events_pb2 import Event

    change = BacktestChanged()
    Event.FromString(event).payload.Unpack(change)
    return BacktestState.Name(change.backtest.state).removeprefix("BACKTEST_STATE_")


def _busy_children(worker: int) -> list[int]:
    """Return the processes below a worker that have a run: they write to its log."""
    import psutil

    below = psutil.Process(worker).children(recursive=True)
    return [p.pid for p in below if Path(f"/proc/{p.pid}/fd/1").readlink().name == "run.log"]
