"""Cursors of Watch: where a watcher stands in each of its streams, opaque to clients."""

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from meshkit.context import caller
from meshkit.errors import InvalidCursor

_VERSION = 1
_LONG = 512
_LARGEST = 2**22  # bytes of a cursor: what claims to be more is none of ours


def filter_hash(request: Any) -> str:
    """Return the hash of a Watch request and of the caller's projects, its cursor left out."""
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("after_cursor")
    name = bare.DESCRIPTOR.full_name + "\0" + ",".join(sorted(caller().projects)) + "\0"
    text = name.encode() + bare.SerializeToString(deterministic=True)
    return hashlib.sha256(text).hexdigest()[:16]


def encode(origin: str, filter_hash: str, numbers: Mapping[str, int]) -> str:
    """Return the cursor of a watcher that has seen each stream up to its number."""
    body = json.dumps([_VERSION, origin, filter_hash, numbers], separators=(",", ":")).encode()
    if len(body) > _LONG:  # the names of many streams are much alike
        body = zlib.compress(body, 1)
    framed = zlib.crc32(body).to_bytes(4) + body
    return base64.urlsafe_b64encode(framed).decode().rstrip("=")


def decode(cursor: str, origin: str, filter_hash: str) -> dict[str, int]:
    """Return the numbers of a cursor.

    Raises ``InvalidCursor`` when it is damaged, or was made for another log or filter.
    """
    version, made_by, made_for, numbers = _unpack(cursor)
    if version != _VERSION or made_by != origin:
        raise InvalidCursor("The cursor belongs to another log. Watch again without a cursor.")
    if made_for != filter_hash:
        raise InvalidCursor(
            "The cursor belongs to another filter. Watch without a cursor, or keep the filter."
        )
    return dict(numbers)


def _unpack(cursor: str) -> list[Any]:
    try:
        framed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if zlib.crc32(framed[4:]).to_bytes(4) != framed[:4]:
            raise ValueError("checksum")
        body = framed[4:] if framed[4:5] == b"[" else _inflated(framed[4:])
        parts: list[Any] = json.loads(body)
    except (ValueError, binascii.Error, zlib.error):
        raise InvalidCursor("The cursor is damaged. Watch again without a cursor.") from None
    return parts


def _inflated(body: bytes) -> bytes:
    unpacked = zlib.decompressobj().decompress(body, _LARGEST)
    if len(unpacked) == _LARGEST:
        raise ValueError("too long")
    return unpacked
