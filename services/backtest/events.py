"""What the service tells and sends: facts of runs, jobs for workers, progress for watchers.

``facts:backtest`` has one fact for each change of a run's state; ``jobs:backtest`` the ids of
runs to do; the channel ``progress:backtest:<id>`` carries progress, which is lossy and kept
nowhere in Redis.
"""

import json
from typing import Any

from mesh.backtest.v1.backtest_pb2 import BacktestChanged
from meshkit.facts import FactLog
from services.backtest import convert
from services.backtest.domain import FACTS, Json, Run

_log = FactLog("backtest")


async def tell(tx: Any, run: Run, *, deleted: bool = False) -> None:
    """Write the fact that a run changed into its transaction."""
    await _log.append(
        tx,
        FACTS,
        subject=run.backtest_id,
        owner=run.owner,
        project=run.project,
        payload=BacktestChanged(backtest=convert.backtest(run), deleted=deleted),
    )


def channel(backtest_id: str) -> str:
    """Return the name of a run's progress channel."""
    return f"progress:backtest:{backtest_id}"


def progress_bytes(progress: Json) -> bytes:
    """Return a progress message for the channel."""
    return json.dumps(progress).encode()
