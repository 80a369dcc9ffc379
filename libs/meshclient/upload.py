"""A file as the messages of an upload: header, chunks of 1 MiB, end with size and checksum."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from mesh.marketdata.v1 import history_service_pb2 as rpc
from mesh.marketdata.v1.marketdata_pb2 import ImportSpec
from meshclient.errors import MeshClientError
from meshclient.group import new_request_id

CHUNK = 512 * 1024
"""Bytes a message: half of what the contract allows."""


class Upload:
    """One upload, which may have to be sent more than once: its request id stays the same."""

    def __init__(
        self, file: Path, spec: ImportSpec, project: str, progress: Callable[[int, int], None]
    ) -> None:
        try:
            self._size = file.stat().st_size
            with file.open("rb"):
                pass
        except OSError as error:
            raise MeshClientError(
                f"{file}: {error.strerror}", code="INVALID_ARGUMENT", reason="FILE_UNREADABLE"
            ) from None
        self._file = file
        self._progress = progress
        self._header = rpc.ImportHeader(
            request_id=new_request_id(), project=project, spec=spec, file_name=file.name
        )

    async def messages(self) -> AsyncIterator[rpc.ImportDataRequest]:
        """Yield the messages of one attempt."""
        yield rpc.ImportDataRequest(header=self._header)
        digest, sent = hashlib.sha256(), 0
        with self._file.open("rb") as opened:
            while piece := opened.read(CHUNK):
                digest.update(piece)
                yield rpc.ImportDataRequest(chunk=piece)
                sent += len(piece)
                self._progress(sent, self._size)
        yield rpc.ImportDataRequest(end=rpc.ImportEnd(size=sent, sha256=digest.hexdigest()))
