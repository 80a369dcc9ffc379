"""Halts: a latch in Redis and in PostgreSQL, either of which forbids to trade.

Redis is asked before every send, on the engine's thread: one MGET of some 50 µs. While Redis is
away its last known state counts, with PostgreSQL's as of the last look.
"""

import time
from collections.abc import Iterable, Sequence

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import RedisError
from redis.retry import Retry

from services.live_execution.names import EVERYTHING, TraderKey
from services.live_execution.safety.halts import derived
from services.live_execution.trader.ports import HaltNotice

SAFETY = "SAFETY"
"""Order id tag of the orders that a halt itself needs."""

TIMEOUT_S = 0.25
"""How long one send may wait for Redis; after that it is not asked until the poller reached it."""

BROKEN_S = 5.0
"""Seconds without a poll after which Redis is asked again by the engine itself."""


class _Key(msgspec.Struct, frozen=True):
    halt_id: str = ""
    reason: str = ""
    reducing: bool = False
    flatten_id: str = ""


class Latch:
    """What is in force. ``check`` is for the engine's thread, the rest for the store thread.

    ``venues`` and ``tags`` (of strategies) are those of the trader's spec; others are learnt.
    """

    def __init__(
        self, key: TraderKey, url: str, venues: Iterable[str] = (), tags: Iterable[str] = ()
    ) -> None:
        self.key = key
        self._pool = redis.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._connection: Connection | None = None
        self._open_until = 0.0
        self.scopes = {"all", f"trader:{key.trader_id}"}
        self.scopes |= {f"venue:{venue}" for venue in venues}
        self.scopes |= {f"strategy:{key.trader_id}:{tag}" for tag in tags}
        self._commands: dict[tuple[str, str], tuple[bytes, tuple[str, ...]]] = {}
        self._redis: dict[str, HaltNotice] = {}
        self._stored: tuple[HaltNotice, ...] = ()
        self._held: tuple[HaltNotice, ...] = ()

    @property
    def keys(self) -> list[str]:
        """The keys in Redis of everything that concerns the trader."""
        return [EVERYTHING, *(f"halt:{self.key.project}:{scope}" for scope in sorted(self.scopes))]

    def check(self, venue: str, tag: str, reducing: bool) -> HaltNotice | None:
        """Return a halt that forbids an order now, None when none does."""
        if tag == SAFETY and reducing:
            return None
        command, keys = self._command(venue, tag)
        found = [
            *self._ask(command, keys),
            *(h for h in (*self._stored, *self._held) if self._reaches(h, venue, tag)),
        ]
        for halt in found:
            if not (halt.reducing and reducing):
                return halt
        return None

    def in_force(self) -> list[HaltNotice]:
        """Return all halts in force for the trader, each once, as last seen."""
        known = (*self._held, *self._redis.values(), *self._relevant())
        by_id = {(h.scope, h.halt_id): h for h in known}
        return [by_id[each] for each in sorted(by_id)]

    @property
    def anything(self) -> bool:
        """Whether a halt is known."""
        return bool(self._redis or self._stored or self._held)

    def seen(self, keys: Sequence[str], values: Sequence[bytes | None]) -> None:
        """Take what Redis has; it answers, so it is asked again before every send.

        A halt whose key is gone is held: a Redis that was emptied or came back without its last
        second has reset nothing.
        """
        found = {k: parse(k, v) for k, v in zip(keys, values, strict=True) if v is not None}
        gone = [halt for key, halt in self._redis.items() if key not in found]
        self._held = (*self._held, *gone)
        self._redis = found
        self._open_until = 0.0

    @property
    def held(self) -> list[str]:
        """The ids of halts that Redis had, and that nobody is known to have reset."""
        return [halt.halt_id for halt in self._held if halt.halt_id]

    def let_go(self, halt_ids: Iterable[str]) -> None:
        """Hold these no longer: PostgreSQL has them, in force or reset."""
        ids = set(halt_ids)
        self._held = tuple(halt for halt in self._held if halt.halt_id not in ids)

    def unseen(self) -> None:
        """Say that Redis cannot be reached: no send waits for it."""
        self._open_until = time.monotonic() + BROKEN_S

    def stored(self, halts: Iterable[HaltNotice]) -> None:
        """Take what PostgreSQL has."""
        self._stored = tuple(halts)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.disconnect()  # type: ignore[no-untyped-call]  # redis-py has no types here
        self._pool.close()

    def _ask(self, command: bytes, keys: tuple[str, ...]) -> list[HaltNotice]:
        if time.monotonic() >= self._open_until:
            try:
                values = self._exchange(command)
                return [parse(k, v) for k, v in zip(keys, values, strict=True) if v is not None]
            except (RedisError, OSError):
                self._drop()
                self._open_until = time.monotonic() + BROKEN_S
        known = self._redis
        return [known[key] for key in keys if key in known]

    def _exchange(self, command: bytes) -> list[bytes | None]:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        try:
            return self._send(self._connection, command)
        except redis.TimeoutError:
            raise
        except (RedisError, OSError):  # it may have died in its sleep
            self._drop()
            self._connection = self._pool.get_connection()
            return self._send(self._connection, command)

    @staticmethod
    def _send(connection: Connection, command: bytes) -> list[bytes | None]:
        connection.send_packed_command([command], check_health=False)  # type: ignore[no-untyped-call]  # the same
        answer: list[bytes | None] = connection.read_response()
        return answer

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()  # type: ignore[no-untyped-call]  # the same
            self._pool.release(self._connection)
        self._connection = None

    def _command(self, venue: str, tag: str) -> tuple[bytes, tuple[str, ...]]:
        found = self._commands.get((venue, tag))
        if found is None:
            keys = self.key.latches(venue, tag)
            parts = [b"MGET", *(key.encode() for key in keys)]
            packed = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
            found = b"*%d\r\n" % len(parts) + packed, keys
            self._commands[venue, tag] = found
            self.scopes = self.scopes | {f"venue:{venue}", f"strategy:{self.key.trader_id}:{tag}"}
        return found

    def _relevant(self) -> list[HaltNotice]:
        strategies = f"strategy:{self.key.trader_id}:"
        scopes = self.scopes
        return [h for h in self._stored if h.scope in scopes or h.scope.startswith(strategies)]

    def _reaches(self, halt: HaltNotice, venue: str, tag: str) -> bool:
        trader = self.key.trader_id
        return halt.scope in (
            "all",
            f"venue:{venue}",
            f"trader:{trader}",
            f"strategy:{trader}:{tag}",
        )


def parse(key: str, value: bytes) -> HaltNotice:
    """Return the halt of a key; whatever is there halts, also what cannot be read."""
    scope = "all" if key == EVERYTHING else key.split(":", 2)[2]
    try:
        found = msgspec.json.decode(value, type=_Key)
    except msgspec.MsgspecError:
        found = _Key(derived(key, value.hex()), "set by hand")  # the id that it gets on record
    return HaltNotice(found.halt_id, scope, found.reducing, found.flatten_id, found.reason)
