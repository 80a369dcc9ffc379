"""Passwords that we make once and keep in a file that only we can read."""

import json
import os
import secrets
from pathlib import Path


class Secrets:
    """A small file of secrets, each made when first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str) -> str:
        """Return a secret of 48 hexadecimal digits, the same for ever."""
        if name not in self._values:
            self._values[name] = secrets.token_hex(24)
            self._write()
        return self._values[name]

    def find(self, name: str) -> str:
        """Return a secret that was put here; empty when there is none."""
        return self._values.get(name, "")

    def put(self, name: str, value: str) -> None:
        """Keep a secret that somebody else made."""
        self._values[name] = value
        self._write()

    def _write(self) -> None:
        """Write beside and rename, so that a crash leaves the old file or the new one."""
        beside = self._path.with_suffix(".new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(self._values, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
