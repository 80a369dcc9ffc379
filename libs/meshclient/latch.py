"""The second path of the kill switch: the latch in Redis itself, when the mesh does not answer.

Every trader reads the latch before each order, so a key that is there halts whether or not the
gateway and the live-execution service are up. They put it on record when they are back. There is no
way to reset a halt here: that is ``mesh.safety.reset``, with a scope of its own.
"""

import asyncio
import getpass
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mesh.execution.v1 import safety_pb2 as pb
from meshclient.errors import MeshClientError
from meshclient.safety import scope_text

EVERYTHING = "halt:all"
"""The latch over every trader of the mesh, whatever its project."""

_PROJECT = re.compile(r"[A-Za-z0-9._-]{1,40}")
_SECONDS = 5.0
"""What Redis has to answer: who pulls this handle must know soon whether it worked."""


@dataclass(frozen=True)
class Latched:
    """A halt as the latch has it. ``key`` is ``halt:all`` or ``halt:<project>:<scope>``."""

    key: str
    halt_id: str
    reason: str
    by: str
    time: str
    flatten_id: str
    reducing: bool

    def document(self) -> str:
        """Return the value of the key."""
        values = {name: value for name, value in vars(self).items() if name != "key"}
        return json.dumps(values)


def latch_key(project: str, scope: pb.SafetyScope) -> str:
    """Return the key of a scope of a project."""
    if not _PROJECT.fullmatch(project):
        raise MeshClientError(
            "Past the mesh the project must be named: --project NAME, or --all-projects for every "
            "trader of the mesh.",
            code="INVALID_ARGUMENT",
            reason="USAGE",
        )
    return f"halt:{project}:{scope_text(scope)}"


class Latch:
    """The latch of a mesh; open it with ``open_latch``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def set(
        self, key: str, *, reason: str = "", flatten: bool = False, reducing: bool = False
    ) -> Latched:
        """Set a latch, read it back, and return it. Raises ``LATCH_UNREACHABLE``.

        A latch that is there gets stricter, never looser: ``reducing`` only when both are, and a
        flatten that was asked for stays.
        """
        before = None
        with suppress(MeshClientError):  # who cannot read may be able to halt all the same
            before = await self.get(key)
        made = Latched(
            key=key,
            halt_id=str(uuid.uuid4()),
            reason=reason,
            by=f"direct:{getpass.getuser()}@{os.uname().nodename}",
            time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            flatten_id=str(uuid.uuid4()) if flatten else before.flatten_id if before else "",
            reducing=reducing and (before is None or before.reducing),
        )
        await self._ask(self._client.set(key, made.document()))
        if await self.get(key) is None:
            raise _failed("it was set, and is not there")
        return made

    async def get(self, key: str) -> Latched | None:
        """Return a latch, None when it is not set. One that cannot be read is set all the same."""
        value = await self._ask(self._client.get(key))
        return None if value is None else _latched(key, value)

    async def list(self) -> Sequence[Latched]:
        """Return all latches that are set, by key."""
        keys = await self._ask(self._keys())
        found = [await self.get(key) for key in sorted(keys)]
        return [each for each in found if each is not None]

    async def _keys(self) -> Sequence[str]:
        return [key.decode() async for key in self._client.scan_iter("halt:*")]

    async def _ask(self, work: Any) -> Any:
        import redis.exceptions

        try:
            async with asyncio.timeout(_SECONDS):
                return await work
        except (OSError, TimeoutError, redis.exceptions.RedisError) as error:
            raise _failed(str(error) or "no answer") from None


@asynccontextmanager
async def open_latch(url: str) -> AsyncIterator[Latch]:
    """Give the latch at a Redis URL until the block ends; it connects when first used.

    Raises ``EXTRA_MISSING`` where the package redis is not installed.
    """
    try:
        import redis.asyncio
    except ImportError:
        raise MeshClientError(
            "The latch in Redis needs the package redis: pip install 'nautilus-mesh[latch]'.",
            code="FAILED_PRECONDITION",
            reason="EXTRA_MISSING",
        ) from None
    if not url:
        raise MeshClientError(
            "No URL of the latch is known: set MESH_LATCH_URL, or latch_url in the profile.",
            code="FAILED_PRECONDITION",
            reason="LATCH_UNKNOWN",
        )
    try:
        client = redis.asyncio.Redis.from_url(url, protocol=2, socket_connect_timeout=_SECONDS)
    except ValueError:  # its text may repeat the URL, and with it the password
        raise MeshClientError(
            "The URL of the latch is none: redis://user:password@host:port, or "
            "unix://user:password@/path.",
            code="INVALID_ARGUMENT",
            reason="PROFILE_INVALID",
        ) from None
    try:
        yield Latch(client)
    finally:
        await client.aclose()


def _latched(key: str, value: bytes) -> Latched:
    try:
        found = json.loads(value)
    except ValueError:
        found = {}
    if not isinstance(found, dict):
        found = {}
    return Latched(
        key=key,
        reducing=found.get("reducing") is True,
        **{
            name: str(found.get(name) or "")
            for name in ("halt_id", "reason", "by", "time", "flatten_id")
        },
    )


def _failed(why: str) -> MeshClientError:
    return MeshClientError(
        f"The latch does not answer: {why}.", code="UNAVAILABLE", reason="LATCH_UNREACHABLE"
    )
