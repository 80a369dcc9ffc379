"""A user in Redis for each trader: its process uses what is its own, and no other trader's.

A server with a file of users keeps them (``ACL SAVE``); another one has them in its memory alone.
Their passwords are derived, so that a server which has lost them gets the same users again, and
traders go on.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

import redis.asyncio
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from meshkit.database import Database
from meshkit.errors import StoreUnavailable
from meshkit.link import ERRORS, Link
from services.live_execution.credentials.keys import Keys
from services.live_execution.launching.store import KeepingStore
from services.live_execution.names import EVERYTHING, TraderKey, latch

log = logging.getLogger("live_execution.launching")

LOOK_S = 0.5
"""Seconds between looks whether Redis is another server than before."""

AGAIN_LOOKS = 120
"""Looks after which users are set again anyhow: somebody may have removed them by hand."""

COMMANDS = (
    *("auth", "ping", "select", "client|setinfo", "client|setname", "multi", "exec"),
    *("xread", "xrange", "xrevrange", "xlen", "xinfo|stream", "xdel"),
    *("get", "mget", "set", "hincrby", "expire", "rpush"),
    *("eval", "evalsha", "script|load"),
)
"""What ``trader/`` does, and what a reader of ``ticks:*`` needs. None shows names of keys."""


class RedisUsers:
    """Sets users before processes start, and again when Redis has lost them; ``async with``.

    ``url`` is how traders reach Redis; as it is they get it where Redis lets us make no users.
    """

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        url: str,
        keys: Callable[[], Keys],
        store: KeepingStore,
    ) -> None:
        self._database, self._url = database, url
        self._client: Any = client  # redis ships no type of execute_command
        self._keys, self._store = keys, store
        self._given: set[TraderKey] = set()
        self._allowed: bool | None = None
        self._link = Link("users of traders")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep(), name="users of traders")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def give(self, key: TraderKey) -> str:
        """Set a trader's user; return the URL for its process.

        Raises ``StoreUnavailable`` while it is not known yet whether Redis lets us make users.
        """
        passwords = passwords_of(key, self._keys())
        self._given.add(key)
        try:
            await self._set(key, passwords, anew=True)
            await self._save()
        except RedisError as error:
            if isinstance(error, ResponseError):
                self._refused(error)
            elif self._allowed is None:
                raise StoreUnavailable(
                    "Redis is out of reach. Try again.", metadata={"store": "redis"}
                ) from error
        return url_of(self._url, key, passwords[0]) if self._allowed else self._url

    async def forget(self, key: TraderKey) -> None:
        """Remove the user of a trader that was deleted; its connections end."""
        self._given.discard(key)
        try:
            await self._client.execute_command("ACL DELUSER", user_of(key))
            await self._save()
        except ResponseError as error:
            self._refused(error)
        except RedisError as error:  # it has nothing that a server that starts anew would know
            text = type(error).__name__
            log.warning("the user of a trader stays", extra={**key._asdict(), "error": text})

    async def _keep(self) -> None:
        server, looks = "", 0
        while True:
            try:
                info = await self._client.info("server")
                if info.get("run_id", "") != server or looks >= AGAIN_LOOKS:
                    await self._set_all()
                    server, looks = info.get("run_id", ""), 0
                self._link.up()
            except ResponseError as error:
                self._refused(error)
            except ERRORS as error:
                await asyncio.sleep(self._link.down(error))
            except Exception:  # such as a file of keys that cannot be read just now
                log.exception("the users of traders are not looked after")
            looks += 1
            await asyncio.sleep(LOOK_S)

    async def _set_all(self) -> None:
        async with self._database.connection() as tx:
            running = set(await self._store.running(tx))
        keys = self._keys()
        for key in running | self._given:
            await self._set(key, passwords_of(key, keys), anew=False)
        if running or self._given:
            await self._save()

    async def _set(self, key: TraderKey, passwords: Iterable[str], *, anew: bool) -> None:
        given = rules(key, passwords, anew=anew)
        await self._client.execute_command("ACL SETUSER", user_of(key), *given)
        self._allowed = True

    async def _save(self) -> None:
        """Have the server keep its users, where it has a file for them and lets us."""
        with suppress(ResponseError):
            await self._client.execute_command("ACL SAVE")

    def _refused(self, error: ResponseError) -> None:
        """Note that traders share one user, and say so once."""
        if self._allowed is not False:
            kind = "no right" if isinstance(error, NoPermissionError) else "no ACL command"
            log.warning("traders share a user in Redis", extra={"why": kind, "error": str(error)})
        self._allowed = False


def user_of(key: TraderKey) -> str:
    """Return the name of a trader's user."""
    return f"trader:{key.project}:{key.trader_id}"


def passwords_of(key: TraderKey, keys: Keys) -> list[str]:
    """Return the passwords of a trader's user, one for each key of ours; the first is current.

    A trader that was started before a key was rotated still gets in.
    """
    return keys.derived(b"redis\0" + user_of(key).encode())


def url_of(url: str, key: TraderKey, password: str) -> str:
    """Return a URL of Redis as one for the trader's user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user_of(key), safe='')}:{password}@{host}"))


def rules(key: TraderKey, passwords: Iterable[str], *, anew: bool) -> list[str]:
    """Return what ``ACL SETUSER`` is told; unless ``anew`` earlier passwords stay good."""
    project = _plain(key.project)
    named = TraderKey(project, _plain(key.trader_id))
    own = (named.commands, f"{named.commands}:*", named.queries, named.reply("*"))
    read = (EVERYTHING, latch(project, "*"), f"ticks:{project}:*", "mesh:epoch")
    return [
        *(["reset"] if anew else ["resetkeys", "resetchannels", "-@all"]),
        "on",
        *(f">{password}" for password in passwords),
        *(f"~{pattern}" for pattern in own),
        *(f"%R~{pattern}" for pattern in read),
        *(f"+{command}" for command in COMMANDS),
    ]


def _plain(text: str) -> str:
    """Return a text as a pattern that nothing else fits."""
    return re.sub(r"([\\*?\[\]^])", r"\\\1", text)
