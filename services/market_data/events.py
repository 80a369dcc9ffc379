"""What the service tells: ``facts:market-data``, the ends and changes of imports, and new
coverage.
"""

from typing import Any

from mesh.marketdata.v1.marketdata_pb2 import DataChanged, ImportJobChanged
from meshkit.facts import FactLog
from services.market_data import convert
from services.market_data.domain import Job, Series
from services.market_data.file_store import FileStore

FACTS = "facts:market-data"
_log = FactLog("market-data")


async def tell_job(tx: Any, job: Job) -> None:
    """Write the fact that a job changed into its transaction."""
    await _log.append(
        tx,
        FACTS,
        subject=job.import_id,
        owner=job.owner,
        project=job.project,
        payload=ImportJobChanged(job=convert.job(job)),
    )


async def tell_data(tx: Any, files: FileStore, project: str, owner: str, series: Series) -> None:
    """Write the fact that a series changed into its transaction."""
    found = await files.coverage(tx, project, series.kind, series.instrument_id, None, 1_000)
    mine = [each for each in found if each.series == series]
    await _log.append(
        tx,
        FACTS,
        subject=series.identifier,
        owner=owner,
        project=project,
        payload=DataChanged(coverage=convert.coverage(project, mine[0]) if mine else None),
    )
