"""Batches of live data: columns as they travel, decoded when they are looked at."""

from collections.abc import Iterator

import pyarrow as pa

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.errors import MeshClientError

LEVELS = 10
"""Levels of a row of ORDER_BOOK_DEPTH10."""

DECIMAL = pa.decimal128(38, 16)
"""The type of exact prices and sizes, as ``mesh.data.read`` has it."""

_TIME = pa.timestamp("ns", tz="UTC")
_WIDE = pa.decimal128(38, 0)  # an integer of 16 bytes: Arrow has no int128
_PRICES = {"bid_price", "ask_price", "price", "open", "high", "low", "close", "value"}
_SIZES = {"bid_size", "ask_size", "size", "volume"}
_OTHERS = {
    "aggressor_side": pa.uint8(),
    "action": pa.uint8(),
    "side": pa.uint8(),
    "flags": pa.uint8(),
    "bid_count": pa.uint32(),
    "ask_count": pa.uint32(),
    "interval_minutes": pa.uint32(),
    "order_id": pa.uint64(),
    "sequence": pa.uint64(),
    "next_funding_ns": pa.uint64(),
}
# The order of `mesh.data.read`; where a kind is not here, that of the contract's fields.
_ORDER = {
    "depths": (
        *("bid_price", "ask_price", "bid_size", "ask_size", "bid_count", "ask_count"),
        *("flags", "sequence"),
    )
}
_PER_ROW = {"flags", "sequence"}  # of a depth's columns; the others have ten levels a row


class Batch:
    """Rows of one channel, in the order of ``ts_init``.

    ``message`` is what came. Nothing is decoded before it is asked for; a column of integers then
    lies in the bytes that came, without a copy.
    """

    def __init__(self, message: pb.MarketDataBatch) -> None:
        self.message = message
        self.channel = message.channel
        self.rows = message.rows

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"Batch({self.names[0]}… of {self.channel}, {self.rows} rows)".replace("\n", " ")

    @property
    def sequence(self) -> int:
        """Number of the batch in its feed, growing over all channels."""
        return self.message.sequence

    @property
    def kind(self) -> str:
        """Which columns it has: quotes, trades, bars, deltas, depths, prices or funding_rates."""
        return self.message.WhichOneof("columns") or ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns, without the times."""
        if not self.kind:
            raise _damaged("a batch has no columns this client knows")
        fields = getattr(self.message, self.kind).DESCRIPTOR.fields
        return _ORDER.get(self.kind) or tuple(field.name for field in fields)

    def precision(self, name: str) -> int | None:
        """Return the decimals of a column's integers; None for one that is no price or size."""
        if name in _PRICES:
            return self.message.price_precision
        return self.message.size_precision if name in _SIZES else None

    def column(self, name: str) -> pa.Array:
        """Return a column as integers: prices and sizes are int64 to be divided by
        ``10**precision(name)``, or decimal128(38, 0) when one does not fit; ``ts_event`` and
        ``ts_init`` are unix nanoseconds. Of a depth, all levels of a row one after another.

        ``column(name).to_numpy()`` is a view of the same bytes.
        """
        if name in ("ts_event", "ts_init"):
            return _array(pa.uint64(), getattr(self.message, name), self.rows)
        data = getattr(getattr(self.message, self.kind), name)
        if not isinstance(data, bytes):
            return pa.array(list(data), pa.string())
        count = self.rows * (LEVELS if self.kind == "depths" and name not in _PER_ROW else 1)
        return _array(_OTHERS.get(name) or _integer(data, count), data, count)

    def decimals(self, name: str) -> pa.Array:
        """Return a column of prices or sizes as exact decimals, decimal128(38, 16)."""
        column = self.column(name).cast(_WIDE)
        scaled = pa.decimal128(38, self.precision(name) or 0)
        # The same integers, read with their decimals: no division takes place.
        return pa.Array.from_buffers(scaled, len(column), column.buffers()).cast(DECIMAL)

    def table(self, *, exact: bool = False) -> pa.Table:
        """Return the rows as a table with the columns of ``mesh.data.read``.

        Prices and sizes are integers, their fields' metadata say the ``precision``; with ``exact``
        they are decimals. A depth has ten columns for each of its own: ``bid_price_0`` …
        """
        fields, arrays = [], []
        for name, source, array in self._columns(exact):
            precision = None if exact else self.precision(source)
            metadata = None if precision is None else {"precision": str(precision)}
            fields.append(pa.field(name, array.type, metadata=metadata))
            arrays.append(array)
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _columns(self, exact: bool) -> Iterator[tuple[str, str, pa.Array]]:
        """Yield name, the name of what it comes from, and the array of each column."""
        for name in self.names:
            decimal = exact and self.precision(name) is not None
            array = self.decimals(name) if decimal else self.column(name)
            if len(array) == self.rows:
                yield name, name, array
                continue
            for level in range(LEVELS):
                picked = pa.array(range(level, len(array), LEVELS), pa.int32())
                yield f"{name}_{level}", name, array.take(picked)
        for name in ("ts_event", "ts_init"):
            yield name, name, self.column(name).view(pa.int64()).view(_TIME)


def _integer(data: bytes, count: int) -> pa.DataType:
    return _WIDE if count and len(data) == 16 * count else pa.int64()


def _array(kind: pa.DataType, data: bytes, count: int) -> pa.Array:
    width = kind.bit_width // 8
    if len(data) != width * count:
        raise _damaged(f"a column of {count} values has {len(data)} bytes")
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(data)])


def _damaged(what: str) -> MeshClientError:
    return MeshClientError(
        f"Live data cannot be read: {what}.", code="DATA_LOSS", reason="STREAM_DAMAGED"
    )
