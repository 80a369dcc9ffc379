"""Verification of the mesh's own JWTs: one issuer, asymmetric algorithms, audience checked."""

import asyncio
import json
import logging
import time
import urllib.request
from typing import Protocol

import jwt

from meshkit.context import Caller
from meshkit.errors import ServiceUnavailable, TokenExpired, TokenInvalid

log = logging.getLogger("meshkit.tokens")

ISSUER = "nautilus-mesh"
AUDIENCE = "nautilus-mesh"
ALGORITHMS = ["ES256"]
CACHED_TOKENS = 4096


class Keys(Protocol):
    """Where public keys come from."""

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of that id, None when there is none."""


class RemoteKeys:
    """The auth service's key set over HTTP, asked again for an unknown key at most every
    ``pause`` seconds.
    """

    def __init__(self, url: str, *, lifetime: float = 300.0, pause: float = 5.0) -> None:
        self._url = url
        self._lifetime = lifetime
        self._pause = pause
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of that id, asking the auth service when it is not known here."""
        age = time.monotonic() - self._fetched
        if age < self._pause or (key_id in self._keys and age < self._lifetime):
            return self._keys.get(key_id)
        async with self._lock:
            if time.monotonic() - self._tried >= self._rest():
                await self._refresh()
        # A key that was good a moment ago stays good while the auth service restarts.
        if key_id not in self._keys and self._failed():
            raise ServiceUnavailable(
                "The auth service does not answer, so the token cannot be checked. Try again.",
                metadata={"service": "auth"},
                retry_after=1.0,
            )
        return self._keys.get(key_id)

    def _failed(self) -> bool:
        return self._tried > self._fetched

    def _rest(self) -> float:
        return min(1.0, self._pause) if self._failed() else self._pause

    async def _refresh(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._fetch)
        except (OSError, ValueError, jwt.PyJWTError) as error:
            if not self._failed():
                log.warning("no keys from the auth service", extra={"error": str(error)})
            self._tried = time.monotonic()
        else:
            self._fetched = self._tried = time.monotonic()

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        with urllib.request.urlopen(self._url, timeout=5) as reply:
            found = jwt.PyJWKSet.from_dict(json.load(reply))
        return {key.key_id: key for key in found.keys if key.key_id}


class Verifier:
    """Turns a token into a ``Caller``; a token seen before costs a look-up in a bounded table."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, Caller] = {}

    async def verify(self, token: str) -> Caller:
        """Return the holder of a token; raises ``TokenInvalid`` or ``TokenExpired``."""
        known = self._known.get(token)
        if known is None:
            known = await self._decode(token)
            if len(self._known) >= CACHED_TOKENS:
                self._known.clear()
            self._known[token] = known
        if known.expires_at <= time.time():
            self._known.pop(token, None)
            raise TokenExpired("The token has expired. Exchange the API key for a new one.")
        return known

    async def _decode(self, token: str) -> Caller:
        try:
            key = await self._keys.key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise TokenInvalid("The token was not signed by this mesh.")
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=2,  # clocks of two hosts differ; what has expired is refused by ``verify``
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            return Caller(
                subject=str(claims["sub"]),
                scopes=frozenset(str(s) for s in claims.get("scopes", ())),
                projects=tuple(str(p) for p in claims.get("projects", ())),
                expires_at=float(claims["exp"]),
                token=token,
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired(
                "The token has expired. Exchange the API key for a new one."
            ) from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise TokenInvalid("The token is not a valid token of this mesh.") from None
