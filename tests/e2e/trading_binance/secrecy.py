"""Looks for texts wherever a mesh keeps, says or shows anything."""

import asyncio
import mmap
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis.asyncio

from chaos.trading import stores
from e2e.trading_binance.scene import Scene
from running_mesh import RunningMesh
from services.up.embedded.valkey import Valkey
from services.up.secrets import Secrets
from simulators.binance.accounts import KEY, SECRET

READ = {
    b"string": lambda client, key: client.get(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"stream": lambda client, key: client.xrange(key),
}


async def places_of_secrets(scene: Scene) -> list[str]:
    """Return where a secret of the credential is found, in whatever writing."""
    return await places(scene, [form for secret in (KEY, SECRET) for form in _forms(secret)])


async def places(scene: Scene, texts: Sequence[bytes]) -> list[str]:
    """Return where one of some texts is found: files, tables, keys of Redis, processes, replies."""
    found = await asyncio.to_thread(lambda: [*_files(scene.mesh, texts), *_processes(texts)])
    found += await _tables(scene.mesh, texts)
    found += [key async for key, value in _keys(scene.mesh) if _has(value, texts)]
    return found + [name async for name, value in _replies(scene) if _has(value, texts)]


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield from (raw, raw.hex().encode(), b64encode(raw).rstrip(b"="))


def _has(value: bytes, texts: Sequence[bytes]) -> bool:
    return any(text in value for text in texts)


def _files(mesh: RunningMesh, texts: Sequence[bytes]) -> Iterator[str]:
    """Give the files of the mesh: logs, journals, snapshots, those of the stores."""
    for path in mesh.data.rglob("*"):
        with suppress(FileNotFoundError):  # removed meanwhile
            if path.is_file() and path.stat().st_size:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as m:
                    if any(m.find(text) >= 0 for text in texts):
                        yield f"file {path.relative_to(mesh.data)}"


def _processes(texts: Sequence[bytes]) -> Iterator[str]:
    """Give what the system shows of every process, other meshes' too."""
    for path in Path("/proc").glob("[0-9]*/*"):
        if path.name in ("environ", "cmdline"):
            with suppress(OSError):  # it has ended
                if _has(path.read_bytes(), texts):
                    yield f"process {path}"


async def _tables(mesh: RunningMesh, texts: Sequence[bytes]) -> list[str]:
    """Return the tables of every service that have a text; bytes are searched as hexadecimal."""
    wanted = [form.decode() for text in texts for form in (text, text.hex().encode())]
    async with stores.opened(mesh) as connection:
        names = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        having = "EXISTS (SELECT FROM unnest($1::text[]) w WHERE position(w IN t::text) > 0)"
        return [
            f"table {name}"
            for (name,) in names
            if await connection.fetchval(f"SELECT count(*) FROM {name} t WHERE {having}", wanted)
        ]


async def _keys(mesh: RunningMesh) -> AsyncIterator[tuple[str, bytes]]:
    """Give everything in Redis."""
    password = Secrets(mesh.data / "secrets.json").get("redis")
    url = Valkey(mesh.data / "valkey", mesh.data / "run", Path(), password).url()
    client: Any = redis.asyncio.Redis.from_url(url)
    try:
        async for key in client.scan_iter(count=1000):
            kind = await client.type(key)
            if kind in READ:  # none: it has expired
                yield f"redis {key.decode()}", _flat(await READ[kind](client, key))
    finally:
        await client.aclose()


def _flat(value: Any) -> bytes:
    """Return all bytes in a value of Redis."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        value = value.items()
    return b"\0".join(map(_flat, value)) if value is not None else b""


async def _replies(scene: Scene) -> AsyncIterator[tuple[str, bytes]]:
    """Give what the mesh answers of credentials and traders."""
    client = scene.client
    yield "reply ListCredentials", repr(await client.credentials.list()).encode()
    yield "reply ListTraders", repr(await client.traders.list()).encode()
    for at in scene.both:
        yield "reply ListOrders", repr(await client.orders.list(at.name)).encode()
        yield "reply ListAccounts", repr(await client.orders.accounts(at.name)).encode()
        log = [line async for line in client.traders.log(at.name, tail=10_000)]
        yield f"reply ReadTraderLog {at.name}", "\n".join(log).encode()
