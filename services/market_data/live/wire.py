"""``WatchMarketDataResponse`` in bytes: a batch is passed on as it came, read by nobody here.

A message of a protobuf is its fields one after another, each with a tag; an embedded message is
its length and its bytes. So a response is put together from payloads that were serialized once.
"""

from collections.abc import Callable

from mesh.marketdata.v1.market_data_service_pb2 import WatchMarketDataItem, WatchMarketDataResponse

_FIELDS = WatchMarketDataResponse.DESCRIPTOR.fields_by_name
_ITEM_FIELDS = WatchMarketDataItem.DESCRIPTOR.fields_by_name
_MESSAGE = 2  # wire type: length-delimited

MOST = 4 * 2**20
"""Bytes of a response, about: a client takes 16 MiB at most, and many deep books are more."""


def _tag(field: int, kind: int = _MESSAGE) -> bytes:
    return varint(field << 3 | kind)


def varint(value: int) -> bytes:
    """Return an unsigned integer as protobuf writes it."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


_ITEMS = _tag(_FIELDS["items"].number)
_CURSOR = _tag(_FIELDS["cursor"].number)
_CHECKPOINT = _tag(_FIELDS["checkpoint"].number, 0) + b"\x01"
_BATCH = _tag(_ITEM_FIELDS["batch"].number)


def batch_head(size: int) -> bytes:
    """Return what stands before the payload of a batch of so many bytes."""
    inner = _BATCH + varint(size)
    return _ITEMS + varint(len(inner) + size) + inner


def item(message: WatchMarketDataItem) -> bytes:
    """Return an item as a part of a response."""
    data = message.SerializeToString()
    return _ITEMS + varint(len(data)) + data


class Outgoing:
    """A response being put together; more than ``most`` bytes of items become several."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._filled = most, 0
        self._full: list[bytes] = []
        self._parts: list[bytes] = []
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, *parts: bytes) -> None:
        """Add what ``item`` made, or a head and a payload."""
        size = sum(map(len, parts))
        if self._parts and self._filled + size > self._most:
            self._full.append(b"".join(self._parts))
            self._parts, self._filled = [], 0
        self._parts += parts
        self._filled += size
        self.size += size

    def put(self, **one: object) -> None:
        """Add an item by its field's name."""
        self.add(item(WatchMarketDataItem(**one)))  # type: ignore[arg-type] # one of its fields

    def before(self, cursor: Callable[[], str]) -> list[bytes]:
        """Return the responses that go before the last one, each with a cursor for the case that
        it is the last to arrive.
        """
        return [full + _end(cursor()) for full in self._full]

    def finish(self, cursor: str, checkpoint: bool) -> bytes:
        """Return the last response; mostly it is the only one."""
        return b"".join([*self._parts, _end(cursor), _CHECKPOINT if checkpoint else b""])


def _end(cursor: str) -> bytes:
    text = cursor.encode()
    return _CURSOR + varint(len(text)) + text


def serialize(message: object) -> bytes:
    """Serialize a response that is bytes already, or a message."""
    if isinstance(message, bytes):
        return message
    assert isinstance(message, WatchMarketDataResponse)  # the method has no other
    return message.SerializeToString()
