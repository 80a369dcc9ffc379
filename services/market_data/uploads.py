"""Uploads: parts of a stream → a whole file on disk, or nothing."""

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from mesh.marketdata.v1.history_service_pb2 import ImportDataRequest, ImportEnd, ImportHeader
from services.market_data.errors import UploadDisordered, UploadIncomplete, UploadTooLarge

LONGEST_UPLOAD = 2 * 3600
"""Seconds, twice the deadline of ImportData."""


class Uploads:
    """The folder where files wait to be imported."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most

    def path(self, import_id: str) -> Path:
        """Return where the file of a job is."""
        return self._folder / import_id

    def scratch(self, import_id: str) -> Path:
        """Return where the checked rows of a job are put."""
        return self._folder / f"{import_id}.rows"

    def remove(self, import_id: str) -> None:
        """Remove the file of a job."""
        self.path(import_id).unlink(missing_ok=True)

    def sweep(self, wanted: Collection[str]) -> None:
        """Remove what a crash left: files of no job that waits, older than an upload can be."""
        oldest = time.time() - LONGEST_UPLOAD
        for path in self._folder.glob("*"):
            if path.name not in wanted and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    async def header(self, parts: AsyncIterator[ImportDataRequest]) -> ImportHeader:
        """Return the header, which comes first."""
        async for part in parts:
            if part.WhichOneof("part") == "header":
                return part.header
            break
        raise _disordered("header")

    async def receive(self, parts: AsyncIterator[ImportDataRequest]) -> tuple[str, int, str]:
        """Write the chunks to a new file; returns import id, size and SHA-256.

        Nothing is left when the upload is cut, damaged, disordered or too large.
        """
        import_id = str(uuid.uuid4())
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path(import_id)
        try:
            with path.open("xb") as file:
                digest, size, end = hashlib.sha256(), 0, None
                async for part in parts:
                    if end is not None or part.WhichOneof("part") == "header":
                        raise _disordered(str(part.WhichOneof("part")))
                    if part.WhichOneof("part") == "end":
                        end = part.end
                        continue
                    size += len(part.chunk)
                    if size > self._most:
                        raise UploadTooLarge(
                            f"The file is larger than {self._most} bytes. Split it.",
                            metadata={"max_bytes": str(self._most)},
                        )
                    digest.update(part.chunk)
                    file.write(part.chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())  # the job will promise it
            _check(end, size, digest.hexdigest())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return import_id, size, digest.hexdigest()


def _check(end: ImportEnd | None, size: int, sha256: str) -> None:
    if end is not None and (end.size, end.sha256) == (size, sha256):
        return
    known = {"received_bytes": str(size), "received_sha256": sha256}
    if end is not None:
        known |= {"expected_bytes": str(end.size), "expected_sha256": end.sha256}
    raise UploadIncomplete(
        "The upload was cut or damaged, and nothing of it is kept. Upload the file again.",
        metadata=known,
    )


def _disordered(part: str) -> UploadDisordered:
    return UploadDisordered(
        "An upload is one header, then chunks, then one end.", metadata={"part": part}
    )
