"""A way to PostgreSQL that can be cut and mended."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"


class Relay:
    """Passes connections on from a socket of its own; ``dsn`` leads through it."""

    def __init__(self, dsn: str, folder: Path) -> None:
        there = parse_qs(urlsplit(dsn).query)["host"][0]
        self.dsn = dsn.replace(there, str(folder))
        self._there = f"{there}/{SOCKET}"
        self._here = folder / SOCKET
        self.deaf = False
        """Whether the answer to the next COMMIT is lost, with its connection."""
        self._lost: set[asyncio.StreamReader | None] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_unix_server(self._serve, str(self._here))

    async def cut(self) -> None:
        """Break all connections, and take none."""
        assert self._server is not None
        self._server.close()
        self._here.unlink(missing_ok=True)
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_unix_connection(self._there)
        self._open |= {writer, to_writer}
        await asyncio.gather(
            self._pass(reader, to_writer, to_reader), self._pass(to_reader, writer)
        )
        self._open -= {writer, to_writer}

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader | None = None,
    ) -> None:
        """Pass on what comes; ``answers`` is where the server's come, to a client's queries."""
        with suppress(OSError):
            while data := await reader.read(2**16):
                if self.deaf and answers is not None and b"COMMIT" in data:
                    self._lost.add(answers)
                if reader in self._lost:
                    self._lost.discard(reader)
                    self.deaf = False
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
