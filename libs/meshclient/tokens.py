"""The API key as a stream of short tokens: exchanged when first needed, renewed before expiry."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Token:
    """A bearer token and the unix time in seconds at which it expires."""

    text: str = field(repr=False)
    expires_at: float


Exchange = Callable[[], Awaitable[Token]]


class TokenKeeper:
    """Gives a token that is good for a while yet; concurrent callers share one exchange."""

    def __init__(self, exchange: Exchange, *, clock: Callable[[], float] = time.time) -> None:
        self._exchange = exchange
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0

    async def fresh(self, refused: str = "") -> str:
        """Return a token; never ``refused``, one that a server has just turned down."""
        if (text := self._usable(refused)) is not None:
            return text
        async with self._lock:
            if (text := self._usable(refused)) is not None:
                return text  # another caller renewed it meanwhile
            now = self._clock()
            token = await self._exchange()
            # A fifth of the life is left at renewal: room for slow calls and clocks that differ.
            self._token, self._renew_at = token, now + 0.8 * max(0.0, token.expires_at - now)
            return token.text

    def discard(self) -> None:
        """Forget the present token: a server has ended a stream over it."""
        self._token = None

    def _usable(self, refused: str) -> str | None:
        token = self._token
        if token is None or token.text == refused or self._clock() >= self._renew_at:
            return None
        return token.text
