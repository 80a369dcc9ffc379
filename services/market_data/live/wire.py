"""``WatchMarketDataResponse`` in bytes: a batch is passed on as it came, read by nobody here.

A message of a protobuf is its fields one after another, each with a tag; an embedded message is
its length and its bytes. So a response is put together from payloads that were serialized once.
"""

from mesh.marketdata.v1.market_data_service_pb2 import WatchMarketDataItem, WatchMarketDataResponse

_FIELDS = WatchMarketDataResponse.DESCRIPTOR.fields_by_name
_ITEM_FIELDS = WatchMarketDataItem.DESCRIPTOR.fields_by_name
_MESSAGE = 2  # wire type: length-delimited


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
    """A response being put together."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, *parts: bytes) -> None:
        """Add what ``item`` made, or a head and a payload."""
        self._parts += parts
        self.size += sum(map(len, parts))

    def put(self, **one: object) -> None:
        """Add an item by its field's name."""
        self.add(item(WatchMarketDataItem(**one)))  # type: ignore[arg-type] # one of its fields

    def finish(self, cursor: str, checkpoint: bool) -> bytes:
        """Return the response."""
        text = cursor.encode()
        end = _CURSOR + varint(len(text)) + text + (_CHECKPOINT if checkpoint else b"")
        return b"".join([*self._parts, end])


def serialize(message: object) -> bytes:
    """Serialize a response that is bytes already, or a message."""
    if isinstance(message, bytes):
        return message
    assert isinstance(message, WatchMarketDataResponse)  # the method has no other
    return message.SerializeToString()
