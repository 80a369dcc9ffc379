"""Tables of market data: our columns, and those of a Nautilus catalog file.

Nautilus stores a price or size as 16 bytes: a little-endian signed integer, scaled by 10^16. That
is how Arrow stores a ``decimal128(38, 16)``, so one becomes the other by looking at the same
bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from services.market_data.domain import Series

DECIMAL = pa.decimal128(38, 16)
BINARY = pa.binary(16)
TIME = pa.timestamp("ns", tz="UTC")
TIMES = ("ts_event", "ts_init")
LEVELS = range(10)
JSON_TEXT = pa.binary()
"""How Nautilus stores the one number of no fixed precision: as a JSON string in bytes."""


def _named(*names: str) -> dict[str, str]:
    return {str(number): name for number, name in enumerate(names)}


NAMES: Mapping[str, dict[str, str]] = {
    "aggressor_side": _named("NO_AGGRESSOR", "BUYER", "SELLER"),
    "action": {str(i): n for i, n in enumerate(("ADD", "UPDATE", "DELETE", "CLEAR"), 1)},
    "side": _named("NO_ORDER_SIDE", "BUY", "SELL"),
}
"""What the numbers of Nautilus' enums mean, told to readers with the column."""


@dataclass(frozen=True)
class Kind:
    """A kind of data: its folder in a catalog, and its columns with their types."""

    folder: str
    prices: tuple[str, ...]
    sizes: tuple[str, ...]
    others: Mapping[str, pa.DataType]
    order: tuple[str, ...]
    nullable: frozenset[str] = frozenset()

    @property
    def decimals(self) -> tuple[str, ...]:
        """Columns that hold prices or sizes."""
        return (*self.prices, *self.sizes)

    def stored_schema(self, metadata: Mapping[str, str]) -> pa.Schema:
        """Return the schema of a catalog file."""
        fields = []
        for name in (*self.order, *TIMES):
            kind = pa.uint64() if name in TIMES else self.others.get(name, BINARY)
            fields.append(pa.field(name, kind, nullable=name in self.nullable))
        return pa.schema(fields, metadata=dict(metadata))

    def client_schema(self, metadata: Mapping[bytes, bytes] | None) -> pa.Schema:
        """Return the schema that readers get: decimals and timestamps."""
        fields = []
        for name in (*self.order, *TIMES):
            kind = TIME if name in TIMES else self.others.get(name, DECIMAL)
            kind = pa.string() if kind == JSON_TEXT else kind
            fields.append(pa.field(name, kind, metadata=NAMES.get(name)))
        return pa.schema(fields, metadata=metadata)


def _kind(
    folder: str,
    prices: tuple[str, ...],
    sizes: tuple[str, ...] = (),
    others: Mapping[str, pa.DataType] | None = None,
    order: tuple[str, ...] = (),
) -> Kind:
    return Kind(folder, prices, sizes, others or {}, order or (*prices, *sizes, *(others or {})))


_DEPTH_PRICES = tuple(f"{side}_price_{i}" for side in ("bid", "ask") for i in LEVELS)
_DEPTH_SIZES = tuple(f"{side}_size_{i}" for side in ("bid", "ask") for i in LEVELS)
_DEPTH_COUNTS = tuple(f"{side}_count_{i}" for side in ("bid", "ask") for i in LEVELS)

KINDS: Mapping[str, Kind] = {
    "QUOTE_TICK": _kind("quote_tick", ("bid_price", "ask_price"), ("bid_size", "ask_size")),
    "TRADE_TICK": _kind(
        "trade_tick", ("price",), ("size",), {"aggressor_side": pa.uint8(), "trade_id": pa.string()}
    ),
    "BAR": _kind("bar", ("open", "high", "low", "close"), ("volume",)),
    "ORDER_BOOK_DELTA": _kind(
        "order_book_deltas",
        ("price",),
        ("size",),
        {
            "action": pa.uint8(),
            "side": pa.uint8(),
            "order_id": pa.uint64(),
            "flags": pa.uint8(),
            "sequence": pa.uint64(),
        },
        ("action", "side", "price", "size", "order_id", "flags", "sequence"),
    ),
    "ORDER_BOOK_DEPTH10": _kind(
        "order_book_depths",
        _DEPTH_PRICES,
        _DEPTH_SIZES,
        {**dict.fromkeys(_DEPTH_COUNTS, pa.uint32()), "flags": pa.uint8(), "sequence": pa.uint64()},
    ),
    "MARK_PRICE": _kind("mark_price_update", ("value",)),
    "INDEX_PRICE": _kind("index_price_update", ("value",)),
    "FUNDING_RATE": Kind(
        "funding_rate_update",
        (),
        (),
        {"rate": JSON_TEXT, "interval": pa.uint16(), "next_funding_ns": pa.uint64()},
        ("rate", "interval", "next_funding_ns"),
        frozenset({"interval", "next_funding_ns"}),
    ),
}


def to_client(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows of a catalog file as readers get them, without copying prices."""
    columns = []
    for field in schema:
        column = batch.column(field.name)
        if field.type == DECIMAL:
            column = _reinterpret(column, DECIMAL)
        elif field.type == TIME:
            column = column.view(pa.int64()).view(TIME)
        elif column.type == JSON_TEXT:
            column = pc.utf8_trim(column.cast(pa.string()), characters='"')
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def to_stored(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with our columns as a catalog file has them."""
    columns = []
    for field in schema:
        column = table.column(field.name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else column.chunk(0)
        if field.type == BINARY:
            column = _reinterpret(column.cast(DECIMAL), BINARY)
        elif field.name in TIMES:
            column = column.cast(pa.int64()).cast(pa.uint64())
        else:
            column = column.cast(field.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def _reinterpret(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Look at 16-byte values as another type of that width."""
    return pa.Array.from_buffers(kind, len(column), column.buffers(), offset=column.offset)


def stored_schema(series: Series, price_precision: int, size_precision: int) -> pa.Schema:
    """Return the schema of a series' files, with the metadata that Nautilus reads."""
    metadata = {
        "instrument_id": series.instrument_id,
        "price_precision": str(price_precision),
        "size_precision": str(size_precision),
    }
    if series.bar_type:
        metadata["bar_type"] = series.bar_type
    if series.kind in {"MARK_PRICE", "INDEX_PRICE", "FUNDING_RATE"}:
        del metadata["size_precision"]
    if series.kind == "FUNDING_RATE":
        del metadata["price_precision"]
    return KINDS[series.kind].stored_schema(metadata)
