"""Results on disk: Parquet tables and the tearsheet, in a folder of the run's last attempt."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mesh.common.v1.types_pb2 import ArrowChunk
from meshkit.arrow import BATCH_ROWS, chunks
from services.backtest.domain import Run

PIECE = 256 * 1024
"""Bytes of a page in one message."""


class Archive:
    """The folders of results; a run's is ``<root>/<project>/<backtest_id>/<attempt>``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._making: dict[Path, asyncio.Lock] = {}

    def table(self, run: Run, name: str) -> Iterator[ArrowChunk]:
        """Yield a table as Arrow chunks."""
        with pq.ParquetFile(self._folder(run) / f"{name}.parquet") as file:
            schema: pa.Schema = file.schema_arrow
            yield from chunks(schema, file.iter_batches(BATCH_ROWS))

    async def tearsheet(self, run: Run) -> Iterator[bytes]:
        """Return the pieces of the tearsheet, which is made when first asked for."""
        page = self._folder(run) / "tearsheet.html"
        async with self._making.setdefault(page, asyncio.Lock()):
            if not page.exists():
                await _make_tearsheet(page.parent, run.name or run.backtest_id)
        return _pieces(page)

    async def delete(self, run: Run) -> None:
        """Remove all that a run left."""
        folder = self._root / run.project / run.backtest_id
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self, run: Run) -> Path:
        run.check_result()
        folder = (run.result or {})["folder"]
        return self._root / run.project / run.backtest_id / str(folder)


async def _make_tearsheet(folder: Path, title: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.backtest.engine.tearsheet",
        str(folder),
        title,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
        cwd=str(Path(__file__).resolve().parents[2]),
    )
    try:
        _, errors = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        raise
    if child.returncode != 0:
        raise RuntimeError(f"the tearsheet was not made: {errors.decode(errors='replace')}")


def _pieces(page: Path) -> Iterator[bytes]:
    with page.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
