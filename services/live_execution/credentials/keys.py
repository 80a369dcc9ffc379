"""Keys that seal credentials: lines of a file of mode 0600, or a variable. The first one seals.

A key's id is made of the key, so that a file that was mixed up cannot open a row by chance. The
file is read again whenever a key is needed: a rotation reaches running services without a restart.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meshkit.config import ConfigError, Env

FILE, TEXT = "MESH_CREDENTIAL_KEY_FILE", "MESH_CREDENTIAL_KEY"
_NONCE = 12
_KEY = 32


class CannotOpen(Exception):
    """No key here opens what was sealed, or it was not sealed for this."""


class Keys:
    """One or more keys of AES-256-GCM; the first one seals, each opens what it has sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self.active = key_id(keys[0])

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids, the one that seals first."""
        return tuple(self._keys)

    def seal(self, secret: bytes, bound_to: bytes) -> tuple[str, bytes]:
        """Return the id of the key and the secret sealed; it opens with the same ``bound_to``."""
        nonce = secrets.token_bytes(_NONCE)
        cipher = AESGCM(self._keys[self.active])
        return self.active, nonce + cipher.encrypt(nonce, secret, bound_to)

    def open(self, key: str, sealed: bytes, bound_to: bytes) -> bytes:
        """Return the secret; raises ``CannotOpen``."""
        if key not in self._keys:
            raise CannotOpen(f"there is no key {key}")
        try:
            return AESGCM(self._keys[key]).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)
        except (InvalidTag, ValueError):
            raise CannotOpen(f"key {key} does not open it") from None

    def blind(self, text: bytes) -> str:
        """Return a digest that nobody without the key can try guesses on."""
        return hmac.new(self._keys[self.active], b"blind\0" + text, hashlib.sha256).hexdigest()

    def derived(self, text: bytes) -> list[str]:
        """Return a secret for a purpose, by each key; the active one's first."""
        by = (hmac.new(key, b"derived\0" + text, hashlib.sha256) for key in self._keys.values())
        return [each.hexdigest() for each in by]


def key_id(key: bytes) -> str:
    """Return the id of a key: eight hexadecimal digits that say nothing else about it."""
    return hashlib.sha256(b"nautilus-mesh credential key\0" + key).hexdigest()[:8]


@dataclass(frozen=True)
class KeySource:
    """Where keys come from: a file, or a text of one or more keys divided by commas."""

    file: Path | None = None
    text: str = field(default="", repr=False)

    @classmethod
    def read(cls, env: Env) -> "KeySource":
        """Read the configuration, noting a fault unless exactly one of the variables is set."""
        file, text = env.text(FILE, ""), env.text(TEXT, "")
        if bool(file) == bool(text):
            env.fault(
                f"set one of {FILE} (a file of mode 0600, made when there is none) and {TEXT}"
            )
        return cls(env.path(FILE) if file else None, text)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"{self.file} ({FILE})" if self.file else TEXT

    def current(self) -> Keys:
        """Return the keys as they are now; raises ``ConfigError`` when they cannot be used."""
        if self.file is None:
            return Keys(_parsed(self.text.split(","), TEXT))
        try:
            if self.file.stat().st_mode & 0o077:
                raise ConfigError([f"{self.name} is open to others: chmod 600 {self.file}"])
            lines = self.file.read_text().splitlines()
        except OSError as error:
            raise ConfigError([f"{self.name} cannot be read: {error.strerror}"]) from None
        return Keys(_parsed(lines, self.name))

    def missing(self) -> bool:
        """Whether there is no file yet."""
        return self.file is not None and not self.file.exists()

    def make(self) -> None:
        """Make the file with a new key, unless somebody else is faster."""
        assert self.file is not None  # a text is there from the start
        try:
            handle = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        except OSError as error:
            raise ConfigError([f"{self.name} cannot be made: {error.strerror}"]) from None
        _write(handle, [secrets.token_bytes(_KEY)])

    def renew(self, keep: Container[str]) -> Keys:
        """Put a new key before the others and return all; drops those whose id is not in ``keep``.

        The one that has sealed so far always stays: a service may just be sealing with it.
        """
        if self.file is None:
            raise ConfigError([f"put a new key first in {TEXT}, and start the services again"])
        before = self.current()
        lines = _parsed(self.file.read_text().splitlines(), self.name)
        kept = [key for key in lines if key_id(key) in keep or key_id(key) == before.active]
        handle, beside = tempfile.mkstemp(dir=self.file.parent, prefix=".keys-")  # mode 0600
        _write(handle, [secrets.token_bytes(_KEY), *kept])
        os.replace(beside, self.file)
        return self.current()


def _write(handle: int, keys: Sequence[bytes]) -> None:
    with os.fdopen(handle, "w") as file:
        file.writelines(f"{key.hex()}\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())


def _parsed(lines: Sequence[str], name: str) -> list[bytes]:
    found = []
    for line in filter(None, map(str.strip, lines)):
        try:
            found.append(bytes.fromhex(line))
        except ValueError:
            found.append(b"")
    if not found or any(len(key) != _KEY for key in found):
        raise ConfigError([f"{name} must hold keys of {_KEY} bytes in hexadecimal"])
    return found
