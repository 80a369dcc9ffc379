"""Many ticks at once as a NumPy array of their C structs, without a Python call for each value.

Nautilus hands out a copy of the structs behind a list of ticks (``capsule_from_list``): 11 ns a
tick, where one attribute is 130 ns. The layout is that of nautilus_trader's model.pxd on 64 bits;
it is compared with the attributes of a made-up tick when this module is imported, and where they
differ ``structs`` gives None and readers fall back to attributes.
"""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from nautilus_trader.model.data import BookOrder, OrderBookDelta, QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity
from numpy.typing import NDArray

type Array = NDArray[Any]

_VALUE = np.dtype({"names": ["raw", "precision"], "formats": ["(2,)<u8", "u1"], "itemsize": 32})
"""A price or quantity: 128 bits as (low, high), and its decimals."""

_ORDER = np.dtype(
    {
        "names": ["side", "price", "size", "order_id"],
        "formats": ["<u4", _VALUE, _VALUE, "<u8"],
        "offsets": [0, 16, 48, 80],
        "itemsize": 96,
    }
)


def _layout(size: int, fields: dict[str, tuple[int, Any]]) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for _, kind in fields.values()],
            "offsets": [offset for offset, _ in fields.values()],
            "itemsize": size,
        }
    )


_LAYOUTS: dict[type, np.dtype[Any]] = {
    QuoteTick: _layout(
        160,
        {"values": (16, (_VALUE, (4,))), "ts_event": (144, "<u8"), "ts_init": (152, "<u8")},
    ),
    TradeTick: _layout(
        144,
        {
            "values": (16, (_VALUE, (2,))),
            "aggressor_side": (80, "<u4"),
            "ts_event": (128, "<u8"),
            "ts_init": (136, "<u8"),
        },
    ),
    OrderBookDelta: _layout(
        160,
        {
            "action": (16, "<u4"),
            "order": (32, _ORDER),
            "flags": (128, "u1"),
            "sequence": (136, "<u8"),
            "ts_event": (144, "<u8"),
            "ts_init": (152, "<u8"),
        },
    ),
}
"""Quotes have the values bid price, ask price, bid size, ask size; trades price and size."""


class _Block(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)


def structs(rows: Sequence[Any]) -> Array | None:
    """Return the structs of ticks of one class, shape (rows,); None where they cannot be read."""
    kind = type(rows[0])
    if kind not in READABLE:
        return None
    return _read(kind, list(rows))


def _read(kind: Any, rows: list[Any]) -> Array:
    capsule = kind.capsule_from_list(rows)
    block = _Block.from_address(_pointer(capsule, None))
    layout = _LAYOUTS[kind]
    return np.frombuffer(ctypes.string_at(block.start, len(rows) * layout.itemsize), layout)


def halves(raw: int) -> tuple[int, int]:
    """Return 128 bits of a signed integer as (low, high)."""
    return raw & (2**64 - 1), (raw >> 64) & (2**64 - 1)


def _same(value: Any, expected: Any) -> bool:
    found = tuple(int(half) for half in value["raw"])
    return found == halves(expected.raw) and int(value["precision"]) == int(expected.precision)


def _quote_reads(tick: QuoteTick) -> bool:
    row = _read(QuoteTick, [tick, tick])[1]
    expected = (tick.bid_price, tick.ask_price, tick.bid_size, tick.ask_size)
    return all(map(_same, row["values"], expected)) and _times(row, tick)


def _trade_reads(tick: TradeTick) -> bool:
    row = _read(TradeTick, [tick, tick])[1]
    side = int(row["aggressor_side"]) == int(tick.aggressor_side)
    return side and all(map(_same, row["values"], (tick.price, tick.size))) and _times(row, tick)


def _delta_reads(delta: OrderBookDelta) -> bool:
    row = _read(OrderBookDelta, [delta, delta])[1]
    plain = all(int(row[name]) == int(getattr(delta, name)) for name in ("action", "flags"))
    number = int(row["sequence"]) == delta.sequence
    return plain and number and _order_reads(row["order"], delta.order) and _times(row, delta)


def _order_reads(row: Any, order: BookOrder) -> bool:
    values = _same(row["price"], order.price) and _same(row["size"], order.size)
    number = int(row["order_id"]) == int(order.order_id)
    return values and number and int(row["side"]) == int(order.side)


def _times(row: Any, tick: Any) -> bool:
    return all(int(row[name]) == int(getattr(tick, name)) for name in ("ts_event", "ts_init"))


def _readable() -> frozenset[type]:
    """Return the classes whose layout is as it is said here."""
    made = InstrumentId.from_str("A.B")
    low, high = Price.from_str("-50000.12"), Price.from_str("50000.13")
    few, many = Quantity.from_str("0.00001"), Quantity.from_str("200000000.50000")
    order = BookOrder(OrderSide.SELL, low, many, 77)
    quote = QuoteTick(made, low, high, few, many, 11, 22)
    trade = TradeTick(made, low, many, AggressorSide.SELLER, TradeId("t"), 11, 22)
    delta = OrderBookDelta(made, BookAction.DELETE, order, 128, 99, 11, 22)
    checks = {
        QuoteTick: _quote_reads(quote),
        TradeTick: _trade_reads(trade),
        OrderBookDelta: _delta_reads(delta),
    }
    return frozenset(kind for kind, reads in checks.items() if reads)


READABLE = _readable()
"""Classes whose structs can be read."""
