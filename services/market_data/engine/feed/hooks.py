"""Ears on an adapter's client: what its calls came to, and what it logged as an error.

Nautilus runs each call of an adapter in a task that only logs how it ends, and adapters often log
an error and return. So the coroutines are wrapped, and the client's logger is listened to.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from nautilus_trader.live.data_client import LiveMarketDataClient

from services.market_data.engine.feed.adapters import added_to
from services.market_data.engine.feed.troubles import Trouble, trouble

log = logging.getLogger("market_data.feed")


class Noted(list[str]):
    """Errors that were logged in a call; tasks that the call leaves behind add none to it."""

    over = False


_noted: ContextVar[Noted | None] = ContextVar("noted", default=None)

_UNREAD = ("pars", "decod", "unrecogni", "malformed", "handling websocket", "handling message")
"""Words of an error about data that could not be read."""

type Outcome = Callable[[Any, Trouble | None], None]


class Ear:
    """Stands before a client's logger: passes everything on, and notes errors."""

    def __init__(self, logger: Any, on_unread: Callable[[], None]) -> None:
        self._logger = logger
        self._on_unread = on_unread

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def error(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Note an error and log it."""
        self._note(message)
        self._logger.error(message, *args, **kwargs)

    def exception(self, message: str, error: Exception) -> None:
        """Note an error and log it with its traceback."""
        self._note(f"{message}: {error}")
        self._logger.exception(message, error)

    def _note(self, message: str) -> None:
        noted = _noted.get()
        if noted is not None and not noted.over:
            noted.append(message)
        elif any(word in message.lower() for word in _UNREAD):
            self._on_unread()


def listen(client: LiveMarketDataClient, on_unread: Callable[[], None]) -> None:
    """Listen to a client's logger; ``on_unread`` is called when data could not be read.

    The logger is a read-only attribute of a base class in C; one of the same name on the client's
    own class comes first. There is one client of a class in a process.
    """
    kind: Any = type(client)
    ear = Ear(client._log, on_unread)
    if isinstance(ear._logger, Ear):
        ear = Ear(ear._logger._logger, on_unread)  # of a client before this one
    kind._log = ear


async def noting(call: Any) -> tuple[Any, Trouble | None]:
    """Await a call of an adapter; return its result and what went wrong, never raise."""
    noted = Noted()
    token = _noted.set(noted)
    try:
        return await call, trouble(None, noted)
    except Exception as error:
        log.info("a call of the adapter failed: %r", error)
        return None, trouble(error, noted)
    finally:
        noted.over = True
        _noted.reset(token)


def watch(client: LiveMarketDataClient, name: str, outcome: Outcome) -> None:
    """Tell the outcome of each call of one of the client's coroutines, with its argument."""
    original = getattr(client, name)

    async def watched(command: Any = None) -> None:
        noted = Noted()
        _noted.set(noted)  # the call has a task, and so a context, of its own
        try:
            await (original() if command is None else original(command))
        except Exception as error:
            outcome(command, trouble(error, noted))
            raise
        finally:
            noted.over = True
        outcome(command, trouble(None, noted))

    setattr(client, name, watched)


def implements(client: LiveMarketDataClient, name: str) -> bool:
    """Tell whether an adapter has one of the coroutines that a client may have."""
    own = getattr(type(client), name, None) is not getattr(LiveMarketDataClient, name)
    return own or name in added_to(client)
