"""Keyset paging: a page token is the last key of a page, bound to the filter that it was made
for.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meshkit.context import caller
from meshkit.errors import InvalidPageToken

_DIGEST = 8


@dataclass(frozen=True)
class Page:
    """One page to read: at most ``size`` rows after the key ``after`` (None: from the first)."""

    size: int
    after: tuple[str, ...] | None
    filter_hash: str

    def cut[Row](
        self, rows: Sequence[Row], key: Callable[[Row], tuple[str, ...]]
    ) -> tuple[list[Row], str]:
        """Return the page's rows and the next page's token, from a read of up to ``size + 1``
        rows.
        """
        kept = list(rows[: self.size])
        return kept, self.token(key(kept[-1])) if len(rows) > self.size else ""

    def token(self, key: tuple[str, ...]) -> str:
        """Return the token of the page that begins after ``key``."""
        text = json.dumps([self.filter_hash, *key], separators=(",", ":")).encode()
        framed = zlib.crc32(text).to_bytes(4) + text
        return base64.urlsafe_b64encode(framed).decode().rstrip("=")


def page(request: Any, *, default: int = 50, maximum: int = 500) -> Page:
    """Return the page that a List request asks for.

    ``page_size`` 0 is the default and more than the maximum is the maximum. Raises
    ``InvalidPageToken`` when the token is damaged or was made for another filter, method or set
    of projects.
    """
    size = min(request.page_size or default, maximum)
    filter_hash = _hash(request)
    return Page(size, _key(request.page_token, filter_hash), filter_hash)


def _hash(request: Any) -> str:
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("page_size")
    bare.ClearField("page_token")
    text = bare.SerializeToString(deterministic=True)
    name = bare.DESCRIPTOR.full_name + "\0" + ",".join(caller().projects) + "\0"
    return hashlib.sha256(name.encode() + text).hexdigest()[: 2 * _DIGEST]


def _key(token: str, filter_hash: str) -> tuple[str, ...] | None:
    if not token:
        return None
    try:
        padded = token + "=" * (-len(token) % 4)
        framed = base64.b64decode(padded, altchars=b"-_", validate=True)
        if zlib.crc32(framed[4:]).to_bytes(4) != framed[:4]:
            raise ValueError("checksum")
        made_for, *key = json.loads(framed[4:])
    except (ValueError, TypeError):
        raise InvalidPageToken("The page token is damaged. Start at the first page.") from None
    if made_for != filter_hash or not key or not all(isinstance(part, str) for part in key):
        raise InvalidPageToken(
            "The page token belongs to another filter. Start at the first page, or keep the filter."
        )
    return tuple(key)
