"""No secret is anywhere but with who has the lease."""

import logging
from pathlib import Path

import pytest

from integration.failures import failure
from integration.live_execution.credentials.conftest import SECRETS, Served, creation, spec_naming
from meshkit.logs import JsonFormatter


async def _dump(served: Served) -> str:
    """Return every value of every table of the service."""
    parts: list[str] = []
    async with served.database.connection() as tx:
        tables = await tx.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        )
        for (name,) in tables:
            rows = await tx.fetch(f'SELECT * FROM "{name}"')
            parts += [repr(value) for row in rows for value in row.values()]
    return "\n".join(parts)


async def test_ex_199_no_secret_is_kept_said_or_logged(
    served: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """EX-199: after every kind of call, good and bad, no secret is in the database, in a reply, an
    error, a log line at any level, a file, or what the system shows of the process.
    """
    caplog.set_level(logging.DEBUG)
    replies = [await served.stub.CreateCredential(creation())]
    errors = [
        await failure(served.stub.CreateCredential(creation())),
        await failure(served.stub.CreateCredential(creation("b", adapter="BETFAIR"))),
        await failure(served.stub.CreateCredential(creation("c", adapter="NONE"))),
        await failure(served.stub.CreateCredential(creation("D"))),
    ]
    await served.trader("EMA-001", spec_naming("main"))
    assert await served.vault.hand_over("default", "EMA-001", 1, "main") == SECRETS
    formatter = JsonFormatter("test")
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    shown = [Path(f"/proc/self/{name}").read_bytes() for name in ("environ", "cmdline")]
    told = [
        await _dump(served),
        repr(replies),
        repr(errors),
        *map(formatter.format, caplog.records),
        repr(served.vault),
        *(part.decode(errors="replace") for part in (*files, *shown)),
    ]
    assert "credentials" in told[0] or told[0]
    for secret in SECRETS.values():
        found = [text for text in told if secret in text or secret.encode().hex() in text]
        assert not found
