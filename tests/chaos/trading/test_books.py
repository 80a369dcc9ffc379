"""The account of facts sees what it is there to see."""

import itertools
from collections.abc import Iterator
from decimal import Decimal

import pytest

from chaos.trading.books import Fact, faults, gain
from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as pb

INITIALIZED = pb.ORDER_EVENT_TYPE_INITIALIZED
SUBMITTED = pb.ORDER_EVENT_TYPE_SUBMITTED
ACCEPTED = pb.ORDER_EVENT_TYPE_ACCEPTED
FILLED = pb.ORDER_EVENT_TYPE_FILLED
CANCELED = pb.ORDER_EVENT_TYPE_CANCELED
_trades = itertools.count(1)


def _event(key: str, kind: "pb.OrderEventType.ValueType") -> pb.TraderFact:
    order = pb.OrderEvent(type=kind, client_order_id=key, instrument_id="BTC.X")
    if kind == INITIALIZED:
        order.initialized.quantity = "2"
    return pb.TraderFact(order=order)


def _fill(key: str, signed: str, price: str, trade_id: str = "") -> pb.TraderFact:
    fact = _event(key, FILLED)
    filled = fact.order.filled
    filled.trade_id = trade_id or str(next(_trades))
    filled.last_qty, filled.last_px = signed.removeprefix("-"), price
    sells = signed.startswith("-")
    filled.order_side = enums.ORDER_SIDE_SELL if sells else enums.ORDER_SIDE_BUY
    filled.commission.amount = "0.5"
    return fact


def _position(quantity: str) -> pb.TraderFact:
    position = pb.Position(instrument_id="BTC.X", signed_qty=quantity)
    return pb.TraderFact(position=pb.PositionEvent(position=position))


def _account(total: str) -> pb.TraderFact:
    return pb.TraderFact(account=pb.AccountState(balances=[pb.AccountBalance(total=total)]))


def _sound() -> list[pb.TraderFact]:
    """Return facts in which nothing is wrong: 2 bought at 10, 1 sold at 13."""
    made = [_event(key, kind) for key in "ab" for kind in (INITIALIZED, SUBMITTED, ACCEPTED)]
    fills = [_fill("a", "2", "10", "first"), _fill("b", "-1", "13")]
    last = [_event("b", CANCELED), _position("1"), _account("102")]
    return [_account("100"), *made, *fills, *last]


def _numbered(facts: list[pb.TraderFact]) -> Iterator[Fact]:
    return (Fact(number, 1, fact) for number, fact in enumerate(facts, start=1))


def _said(facts: list[pb.TraderFact]) -> list[str]:
    return list(faults(list(_numbered(facts)), ["a", "b"]))


def test_what_adds_up() -> None:
    """Two orders, their fills, the position and the account of them are no fault."""
    assert _said(_sound()) == []


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        (_event("a", INITIALIZED), "a: made 2 times"),
        (_event("a", SUBMITTED), "a: 2 times ORDER_EVENT_TYPE_SUBMITTED"),
        (_event("b", CANCELED), "b: it ended more than once"),
        (_event("c", INITIALIZED), "c was not submitted and is there"),
        (_fill("a", "1", "10"), "a: filled 3 of 2"),
        (_fill("b", "-1", "13", "first"), "trade first: 2 times"),
        (_position("2"), "BTC.X: fills of 1, a position of 2"),
        (_account("103"), "an account of 103, and its fills say 102"),
    ],
)
def test_what_does_not(extra: pb.TraderFact, fault: str) -> None:
    """One fact too many, whichever it is, is a fault."""
    assert any(fault in said for said in _said([*_sound(), extra]))


def test_what_is_missing() -> None:
    """An order that is not there, one whose end nobody knows, and a hole are faults."""
    facts = list(_numbered(_sound()))
    assert "c was submitted and is not there" in list(faults(facts, ["a", "b", "c"]))
    unknown = [each for each in facts if each.fact.order.type not in (ACCEPTED, CANCELED)]
    assert any("nobody knows" in said for said in faults(unknown, ["a", "b"]))
    assert any("facts, and the last" in said for said in faults(unknown, ["a", "b"]))
    late = [*facts[:-1], Fact(facts[-1].number, 0, facts[-1].fact)]
    assert "a process recorded after its successor" in list(faults(late, ["a", "b"]))


def test_what_is_gained() -> None:
    """Positions that turn realise what was closed at its average price, less commissions."""
    fills = [_fill("a", "1", "10"), _fill("a", "1", "20"), _fill("b", "-3", "18")]
    assert gain(list(_numbered([*fills, _fill("b", "1", "17")]))) == Decimal("6") + 1 - 2
