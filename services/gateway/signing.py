"""Signing keys: made, sealed, rotated, published; and the tokens signed with them.

A key lives in three stages. As the *next* it is published and not used, until every verifier has
fetched the key set; then it signs; then, superseded, it stays published until its last token is
dead. Private keys are in PostgreSQL, so that replicas share them, sealed with AES-256-GCM by a key
that only a file of mode 0600 holds.
"""

import asyncio
import json
import logging
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meshkit.config import ConfigError
from meshkit.database import Database
from meshkit.errors import MeshError, ServiceUnavailable
from meshkit.tokens import AUDIENCE, ISSUER
from services.gateway.domain import ApiKey
from services.gateway.store import SigningStore

log = logging.getLogger("gateway.signing")

LEAD = timedelta(minutes=10)
"""How long a key is published before it signs; the gateway fetches the set every minute."""
LIFE = timedelta(days=30)
"""How long a key signs."""
REMAINS = timedelta(minutes=10)
"""How long a superseded key stays published: twice the life of a token."""
REFRESH_SECONDS = 20.0
_NONCE = 12
_KEY = 32


class Seal:
    """Encrypts private keys with the key in a file, which is made when there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cipher = AESGCM(_read_or_make(path))

    def close(self, kid: str, secret: bytes) -> bytes:
        """Return the secret sealed; it opens under the same key id only."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, kid.encode())

    def open(self, kid: str, sealed: bytes) -> bytes:
        """Return the secret; raises ``ConfigError`` when the file holds another key."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], kid.encode())
        except InvalidTag:
            raise ConfigError(
                [
                    f"{self._path} (MESH_AUTH_KEY_FILE) does not open the signing keys in the "
                    "database: put back the file that belongs to it, or empty gateway.signing_keys"
                ]
            ) from None


def _read_or_make(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise ConfigError([f"MESH_AUTH_KEY_FILE {path} cannot be made: {error.strerror}"]) from None
    made = secrets.token_bytes(_KEY)
    with os.fdopen(handle, "w") as file:
        file.write(made.hex())
        file.flush()
        os.fsync(file.fileno())
    return made


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError([f"MESH_AUTH_KEY_FILE {path} is open to others: chmod 600 {path}"])
        found = bytes.fromhex(path.read_text().strip())
    except OSError as error:
        raise ConfigError([f"MESH_AUTH_KEY_FILE {path} cannot be read: {error.strerror}"]) from None
    except ValueError:
        found = b""
    if len(found) != _KEY:
        raise ConfigError([f"MESH_AUTH_KEY_FILE {path} must hold {_KEY} bytes in hexadecimal"])
    return found


@dataclass(frozen=True)
class SigningKey:
    """A key pair and since when it signs."""

    kid: str
    active_from: datetime
    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def new(cls, active_from: datetime) -> "SigningKey":
        """Return a new key."""
        return cls(secrets.token_hex(8), active_from, ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def opened(cls, seal: Seal, kid: str, sealed: bytes, active_from: datetime) -> "SigningKey":
        """Return a key as it was kept."""
        found = serialization.load_der_private_key(seal.open(kid, sealed), None)
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise ConfigError([f"signing key {kid} is not an elliptic curve key"])
        return cls(kid, active_from, found)

    def sealed(self, seal: Seal) -> bytes:
        """Return the private key as it is kept."""
        der = self.private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return seal.close(self.kid, der)

    def jwk(self) -> dict[str, str]:
        """Return the public key."""
        public = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": "ES256", "use": "sig"}


@dataclass(frozen=True)
class Signed:
    """A token and the unix second in which it expires."""

    token: str = field(repr=False)
    expire_time: int


class KeyRing:
    """The keys in memory, as the database has them; a source of keys for ``MeshServer`` too."""

    def __init__(self, database: Database, seal: Seal, store: SigningStore, seconds: int) -> None:
        self._database = database
        self._seal = seal
        self._store = store
        self._seconds = seconds
        self._keys: list[SigningKey] = []

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator["KeyRing"]:
        """Load the keys, and rotate and load them again until the block ends."""
        await self.refresh()
        task = asyncio.create_task(self._refresh_for_ever())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def refresh(self, now: datetime | None = None) -> None:
        """Make the next key when it is time, drop the dead ones, load what is left."""
        at = now or datetime.now(UTC)
        async with self._database.transaction() as tx:
            await self._store.lock(tx)
            rows = await self._store.list(tx)
            keys = [SigningKey.opened(self._seal, *row) for row in rows]
            if not keys or keys[-1].active_from + LIFE <= at:
                made = SigningKey.new(at + LEAD if keys else at)
                await self._store.insert(tx, made.kid, made.sealed(self._seal), made.active_from)
                keys.append(made)
            for dead in _dead(keys, at):
                await self._store.delete(tx, dead.kid)
                keys.remove(dead)
        self._keys = keys

    async def _refresh_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except (MeshError, ConfigError):  # the keys in memory are good for as long as it takes
                log.warning("signing keys cannot be refreshed", exc_info=True)

    def sign(self, key: ApiKey, now: datetime) -> Signed:
        """Return a token of an API key; it never outlives the key."""
        expire = int(now.timestamp()) + self._seconds
        if key.expire_time is not None:
            expire = min(expire, int(key.expire_time.timestamp()))
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": key.subject,
            "scopes": list(key.scopes),
            "projects": list(key.projects),
            "iat": int(now.timestamp()),
            "exp": expire,
            "jti": str(uuid.uuid4()),
        }
        signer = self._signer(now)
        token = jwt.encode(claims, signer.private, algorithm="ES256", headers={"kid": signer.kid})
        return Signed(token, expire)

    def _signer(self, now: datetime) -> SigningKey:
        active = [key for key in self._keys if key.active_from <= now]
        if not active:
            raise ServiceUnavailable(
                "There is no signing key yet. Try again.",
                metadata={"service": "auth"},
                retry_after=1.0,
            )
        return active[-1]

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the public key of that id, None when there is none."""
        found = next((key for key in self._keys if key.kid == key_id), None)
        return jwt.PyJWK(found.jwk()) if found else None

    def jwks(self) -> list[dict[str, str]]:
        """Return the public keys, the oldest first."""
        return [key.jwk() for key in self._keys]

    def jwks_page(self) -> tuple[str, bytes]:
        """Return the key set as the page ``/.well-known/jwks.json``."""
        body: dict[str, Any] = {"keys": self.jwks()}
        return "application/json", json.dumps(body).encode()


def _dead(keys: list[SigningKey], now: datetime) -> list[SigningKey]:
    """Return the keys that were superseded so long ago that none of their tokens is alive."""
    return [key for key, successor in pairwise(keys) if successor.active_from + REMAINS <= now]
