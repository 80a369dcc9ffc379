"""Cursors of WatchMarketData: where a watcher stands in the log of its feed, opaque to clients."""

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from meshkit.errors import InvalidCursor

_VERSION = 1


@dataclass(frozen=True)
class Cursor:
    """A place in a log: everything below ``place`` was sent.

    ``time`` (unix ns, 0 when not known) is that of data which the reader has of every channel.
    ``partial`` says that snapshots were sent which hold more than that, so that the place alone
    is not where to go on.
    """

    log: str
    place: int
    time: int = 0
    partial: bool = False

    def encode(self, bound_to: str) -> str:
        """Return it as clients carry it."""
        parts = [_VERSION, bound_to, self.log, self.place, self.time, int(self.partial)]
        body = json.dumps(parts, separators=(",", ":")).encode()
        framed = zlib.crc32(body).to_bytes(4) + body
        return base64.urlsafe_b64encode(framed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, bound_to: str) -> "Cursor":
        """Read a cursor; raises ``InvalidCursor`` when it is damaged or of other subscriptions."""
        try:
            padded = text + "=" * (-len(text) % 4)
            framed = base64.b64decode(padded, altchars=b"-_", validate=True)
            if zlib.crc32(framed[4:]).to_bytes(4) != framed[:4]:
                raise ValueError("checksum")
            version, made_for, log, place, time, partial = json.loads(framed[4:])
            if not all(isinstance(each, int) and 0 <= each < 2**63 for each in (place, time)):
                raise ValueError("numbers")
        except (ValueError, TypeError, binascii.Error):
            raise InvalidCursor("The cursor is damaged. Watch again without a cursor.") from None
        if version != _VERSION or made_for != bound_to:
            raise InvalidCursor(
                "The cursor belongs to other subscriptions. Watch without a cursor, or watch those."
            )
        return cls(log, place, time, bool(partial))


def bound_to(subscription_ids: Iterable[str]) -> str:
    """Return what binds a cursor to the subscriptions that it was made for."""
    return hashlib.sha256(",".join(sorted(subscription_ids)).encode()).hexdigest()[:16]
