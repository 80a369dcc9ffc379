"""Starts the processes of feeds. No Nautilus here: the process imports it."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from services.market_data.live.ports import FeedSpec

SPEC = FeedSpec
"""What a process is sent first."""

LIMIT = 8 * 2**20
"""Bytes that the service reads ahead of a feed."""

LOG_BYTES = 16 * 2**20
"""Size from which a log is put aside when its feed starts."""

KEPT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH"})
"""Variables that a process gets beside those of venues."""

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


class Processes:
    """Starts a process for each feed, which dies with this one; a ``ports.Starter``.

    ``logs`` is a folder: each feed has a file there. ``variables`` are the environment variables
    that venues need (their credentials), by name; the rest of ours is kept from the process.
    """

    def __init__(self, logs: Path, environ: Mapping[str, str], variables: frozenset[str]) -> None:
        self._logs = logs
        names = KEPT | variables | set(CERTIFICATES)
        self._environ = {name: environ[name] for name in names if name in environ}

    async def __call__(
        self, spec: FeedSpec
    ) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
        """Start the process of a feed; return it and the streams of frames."""
        ours, theirs = socket.socketpair()
        log = self._open_log(spec)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.market_data.engine.feed",
                str(theirs.fileno()),
                str(os.getpid()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,  # a Ctrl-C is for the service
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(log)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LIMIT)
        body = msgspec.msgpack.encode(spec)
        writer.write(len(body).to_bytes(4, "little") + body)
        return process, reader, writer

    def log_of(self, spec: FeedSpec) -> Path:
        """Return the log file of a feed."""
        return self._logs / f"{spec.project}.{spec.feed_id}.log"

    def _open_log(self, spec: FeedSpec) -> int:
        path = self.log_of(spec)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
