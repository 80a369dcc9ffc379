"""A worker: takes run ids from ``jobs:backtest``, runs each in a process, and writes how it ended.

A run belongs to the worker that holds its newest fence and a lease in PostgreSQL. Everything that a
worker writes names its fence, so that a run that was taken over ends once.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from meshkit.consumer import LOST as CONSUMER_LOST
from meshkit.database import Database
from meshkit.errors import Unavailable
from meshkit.outbox import done
from meshkit.redis_group import Entry
from services.backtest import events
from services.backtest.config import WorkerConfig
from services.backtest.domain import CANCELLED, FAILED, JOBS, SUCCEEDED, Json, Run
from services.backtest.errors import RunBusy
from services.backtest.inputs import run_task
from services.backtest.pool import Outcome, Pool
from services.backtest.store import RunStore

log = logging.getLogger("backtest.worker")

KEEP_SECONDS = 0.3
"""Seconds between renewals of a lease, which also bring a cancellation."""

LOG_LINES = 40
MESSAGE_LENGTH = 2_000

UNKNOWN = 255
"""What the forkserver's side says of a process that died together with the forkserver."""


class Lost(Exception):
    """Another worker took the run over."""


@dataclass
class Watched:
    """A run under way: its latest progress, and whether it is to be cancelled."""

    run: Run
    progress: Json = field(default_factory=dict)
    cancel: asyncio.Event = field(default_factory=asyncio.Event)


class Worker:
    """Does runs, each once."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        store: RunStore,
        pool: Pool,
        config: WorkerConfig,
    ) -> None:
        self._database = database
        self._redis = client
        self._store = store
        self._pool = pool
        self._config = config

    async def handle(self, entry: Entry) -> None:
        """Do the run of a job, unless it has ended or another worker has it."""
        while (claimed := await self._claim(entry.key)) is not None:
            run, inputs = claimed
            log.info("run begins", extra={"backtest_id": run.backtest_id, "attempt": run.attempts})
            if await self._attempt(run, inputs):
                return

    async def record(self, entry: Entry, reason: str) -> None:
        """Fail a run whose job is parked: its workers died, or a bug of ours hit, each time."""
        text = "The workers that took the run ended before it did, each time."
        if reason != CONSUMER_LOST:
            text = "The mesh failed to do the run, each time. The workers' logs say why."
        failure = {"reason": "WORKER_DIED", "message": text}
        if (claimed := await self._claim(entry.key)) is None:
            return
        run = claimed[0]
        async with self._database.transaction() as tx:
            ended = await self._store.finish(
                tx, run.backtest_id, run.fence, FAILED, run.progress, failure, None
            )
            if ended is not None:
                await done(tx, JOBS, run.backtest_id)
                await events.tell(tx, ended)

    async def _claim(self, backtest_id: str) -> tuple[Run, Json] | None:
        async with self._database.transaction() as tx:
            claimed = await self._store.claim(
                tx, backtest_id, self._config.name, self._config.lease_seconds
            )
            if claimed is not None:
                await events.tell(tx, claimed[0])
                return claimed
            if await self._store.is_ended(tx, backtest_id):
                await done(tx, JOBS, backtest_id)
                return None
        raise RunBusy("Another worker has the run.")

    async def _attempt(self, run: Run, inputs: Json) -> bool:
        """Run once and write the end; False when the run is to be begun again."""
        folder = self._folder(run)
        watched = Watched(run)
        try:
            if run.cancel_requested:
                watched.cancel.set()
            async with asyncio.timeout(self._config.run_seconds):
                outcome = await self._while_ours(watched, self._run(watched, inputs, folder))
        except Lost:
            shutil.rmtree(folder, ignore_errors=True)
            # The job stays open: the other one may die, or nobody has it (the database was away).
            raise RunBusy("The run's lease was lost.") from None
        except TimeoutError:
            text = f"The run took longer than {self._config.run_seconds:g} s."
            outcome = Outcome({"type": "failed", "reason": "TIME_EXCEEDED", "message": text}, 0)
        except asyncio.CancelledError:
            await asyncio.shield(self._release(run))
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if _died(outcome) and run.attempts < self._config.attempts:
            log.warning("run's process died", extra={"backtest_id": run.backtest_id})
            await self._release(run)
            return False
        await self._finish(watched, outcome, folder)
        return True

    async def _run(self, watched: Watched, inputs: Json, folder: Path) -> Outcome:
        run = watched.run
        task = run_task(run, inputs, self._config.catalog, folder, self._config.memory_mb)

        def keep(message: dict[str, Any]) -> None:
            watched.progress = message
            told = self._redis.publish(
                events.channel(run.backtest_id), events.progress_bytes(message)
            )
            _in_background(told)

        return await self._pool.run(task, keep, watched.cancel, lambda pid: None)

    async def _while_ours(self, watched: Watched, work: Awaitable[Outcome]) -> Outcome:
        """Await the run while keeping its lease; raises ``Lost`` when another has taken it."""
        running = asyncio.ensure_future(work)
        keeping = asyncio.ensure_future(self._keep(watched))
        try:
            await asyncio.wait({running, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                keeping.result()  # raises why it ended
            return await running
        finally:
            for task in (running, keeping):
                task.cancel()
                with suppress(asyncio.CancelledError, Lost, Unavailable):
                    await task

    async def _keep(self, watched: Watched) -> None:
        run = watched.run
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._config.lease_seconds
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            try:
                async with self._database.connection() as tx:
                    cancel = await self._store.keep(
                        tx,
                        run.backtest_id,
                        run.fence,
                        self._config.lease_seconds,
                        watched.progress,
                    )
            except Unavailable:
                if loop.time() > ends:  # another may have it by now
                    raise Lost from None
                continue
            if cancel is None:
                raise Lost
            ends = loop.time() + self._config.lease_seconds
            if cancel:
                watched.cancel.set()

    async def _finish(self, watched: Watched, outcome: Outcome, folder: Path) -> None:
        run = watched.run
        state, failure, result = _verdict(outcome, folder / "run.log")
        if state == SUCCEEDED:
            result = {**(result or {}), "folder": folder.name}
        async with self._database.transaction() as tx:
            ended = await self._store.finish(
                tx, run.backtest_id, run.fence, state, watched.progress, failure, result
            )
            if ended is not None:
                await done(tx, JOBS, run.backtest_id)
                await events.tell(tx, ended)
        log.info("run ended", extra={"backtest_id": run.backtest_id, "state": state})
        if ended is None or state != SUCCEEDED:
            shutil.rmtree(folder, ignore_errors=True)

    async def _release(self, run: Run) -> None:
        with suppress(Unavailable):  # the lease runs out by itself
            async with self._database.connection() as tx:
                await self._store.release(tx, run.backtest_id, run.fence)

    def _folder(self, run: Run) -> Path:
        """Return an empty folder for this attempt's result; the fence makes it no other's."""
        folder = self._config.archive / run.project / run.backtest_id / str(run.fence)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def _died(outcome: Outcome) -> bool:
    """Whether the process was killed: with an exit code of its own it would end so again."""
    return outcome.message is None and (outcome.exit_code < 0 or outcome.exit_code == UNKNOWN)


def _verdict(outcome: Outcome, log_file: Path) -> tuple[str, Json | None, Json | None]:
    message = outcome.message
    if message is None:
        text = (
            f"The run's process ended by itself (exit code {outcome.exit_code}). "
            "Does the code exit?"
        )
        message = {"type": "failed", "reason": "WORKER_DIED", "message": text}
    kind = message.pop("type")
    if kind == "done":
        return SUCCEEDED, None, message
    if kind == "cancelled":
        return CANCELLED, None, None
    text = str(message["message"])[:MESSAGE_LENGTH]
    return FAILED, {**message, "message": text, "log_tail": _tail(log_file)}, None


def _tail(log_file: Path) -> list[str]:
    try:
        with log_file.open("rb") as lines:
            lines.seek(max(0, os.fstat(lines.fileno()).st_size - 64 * 1024))
            return lines.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []


_background: set[asyncio.Task[Any]] = set()


def _in_background(work: Awaitable[Any]) -> None:
    """Let a lossy send happen; a dead Redis loses it."""

    async def quietly() -> None:
        with suppress(RedisError, OSError):
            await work

    task = asyncio.ensure_future(quietly())
    _background.add(task)
    task.add_done_callback(_background.discard)
