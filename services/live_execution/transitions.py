"""Where an order may go from where it stands: the table of Nautilus' ``Order``.

A test compares it with the installed Nautilus.
"""

from mesh.common.v1.enums_pb2 import OrderStatus

TABLE = {
    "INITIALIZED": "DENIED EMULATED RELEASED SUBMITTED REJECTED ACCEPTED CANCELED EXPIRED"
    " TRIGGERED",
    "EMULATED": "CANCELED EXPIRED RELEASED",
    "RELEASED": "DENIED SUBMITTED CANCELED",
    "SUBMITTED": "PENDING_UPDATE PENDING_CANCEL REJECTED CANCELED ACCEPTED PARTIALLY_FILLED FILLED",
    "ACCEPTED": "REJECTED PENDING_UPDATE PENDING_CANCEL CANCELED TRIGGERED EXPIRED"
    " PARTIALLY_FILLED FILLED",
    "CANCELED": "PARTIALLY_FILLED FILLED",
    "PENDING_UPDATE": "REJECTED ACCEPTED CANCELED EXPIRED TRIGGERED SUBMITTED PENDING_UPDATE"
    " PENDING_CANCEL PARTIALLY_FILLED FILLED",
    "PENDING_CANCEL": "REJECTED PENDING_CANCEL CANCELED EXPIRED ACCEPTED PARTIALLY_FILLED FILLED",
    "TRIGGERED": "REJECTED PENDING_UPDATE PENDING_CANCEL CANCELED EXPIRED PARTIALLY_FILLED FILLED",
    "PARTIALLY_FILLED": "PENDING_UPDATE PENDING_CANCEL CANCELED EXPIRED PARTIALLY_FILLED FILLED",
}

_ODD = {("PENDING_UPDATE", "SUBMITTED"): "PENDING_UPDATE"}
"""What leads elsewhere than it says: a venue confirms that it was sent, the change still pends."""


def _number(name: str) -> OrderStatus.ValueType:
    return OrderStatus.Value(f"ORDER_STATUS_{name}")


_MAY = {_number(here): frozenset(map(_number, there.split())) for here, there in TABLE.items()}
_WHERE = {(_number(a), _number(b)): _number(there) for (a, b), there in _ODD.items()}


def may(here: OrderStatus.ValueType, there: OrderStatus.ValueType) -> bool:
    """Whether an order can go from one status to another."""
    return there in _MAY.get(here, ())


def where(here: OrderStatus.ValueType, there: OrderStatus.ValueType) -> OrderStatus.ValueType:
    """Return where an order is that went from one status to another."""
    return _WHERE.get((here, there), there)
