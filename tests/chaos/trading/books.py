"""What the facts of a trader must add up to: each order once, positions and account its fills."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as pb

ONCE = (
    pb.ORDER_EVENT_TYPE_SUBMITTED,
    pb.ORDER_EVENT_TYPE_ACCEPTED,
    pb.ORDER_EVENT_TYPE_DENIED,
    pb.ORDER_EVENT_TYPE_REJECTED,
    pb.ORDER_EVENT_TYPE_CANCELED,
    pb.ORDER_EVENT_TYPE_EXPIRED,
)
"""Events that an order has at most once."""
LAST = set(ONCE[2:])
"""Events after which nothing more happens to an order."""
ROUNDING = Decimal("0.00000001")
"""What an account may be off for each fill: it keeps so many places of a currency."""

Fill = tuple[Decimal, Decimal]
"""Signed quantity, and price."""


@dataclass(frozen=True)
class Fact:
    """A fact with its number, and the fence of the process that recorded it."""

    number: int
    fence: int
    fact: pb.TraderFact


def faults(facts: Sequence[Fact], submitted: Collection[str]) -> Iterator[str]:
    """Tell what is not as it must be in all facts of a trader, whose orders are those submitted."""
    yield from _stream_faults(facts)
    orders = _orders(facts)
    yield from (f"{key} was submitted and is not there" for key in {*submitted} - {*orders})
    yield from (f"{key} was not submitted and is there" for key in {*orders} - {*submitted})
    for key, events in orders.items():
        yield from (f"{key}: {fault}" for fault in _order_faults(events))
    yield from _twice("trade", (each.filled.trade_id for each in _fills(facts)))
    yield from _position_faults(facts)
    yield from _account_faults(facts)


def _stream_faults(facts: Sequence[Fact]) -> Iterator[str]:
    numbers = [each.number for each in facts]
    if numbers != list(range(1, len(facts) + 1)):
        yield f"{len(facts)} facts, and the last has number {numbers[-1]}"
    fences = [each.fence for each in facts]
    if fences != sorted(fences):
        yield "a process recorded after its successor"
    yield from _twice("command", (each.fact.command.command_id for each in facts))
    yield from _twice("event", (each.fact.order.event_id for each in facts))


def _twice(what: str, ids: Iterator[str]) -> Iterator[str]:
    return (
        f"{what} {key}: {count} times" for key, count in Counter(ids).items() if key and count > 1
    )


def _orders(facts: Sequence[Fact]) -> dict[str, list[pb.OrderEvent]]:
    found: dict[str, list[pb.OrderEvent]] = defaultdict(list)
    for each in facts:
        if each.fact.HasField("order"):
            found[each.fact.order.client_order_id].append(each.fact.order)
    return found


def _order_faults(events: Sequence[pb.OrderEvent]) -> Iterator[str]:
    counts = Counter(each.type for each in events)
    if counts[pb.ORDER_EVENT_TYPE_INITIALIZED] != 1:
        yield f"made {counts[pb.ORDER_EVENT_TYPE_INITIALIZED]} times"
    for kind in ONCE:
        if counts[kind] > 1:
            yield f"{counts[kind]} times {pb.OrderEventType.Name(kind)}"
    if sum(counts[kind] for kind in LAST) > 1:
        yield "it ended more than once"
    if counts[pb.ORDER_EVENT_TYPE_FILLED] and not counts[pb.ORDER_EVENT_TYPE_SUBMITTED]:
        yield "filled, and never submitted"
    filled = sum(
        (Decimal(each.filled.last_qty) for each in events if each.HasField("filled")), Decimal()
    )
    quantities = [each.updated.quantity for each in events if each.HasField("updated")]
    quantity = Decimal(quantities[-1] if quantities else events[0].initialized.quantity)
    if filled > quantity:
        yield f"filled {filled} of {quantity}"
    ended = filled == quantity or any(counts[kind] for kind in LAST)
    if not ended and not counts[pb.ORDER_EVENT_TYPE_ACCEPTED]:
        yield "nobody knows what became of it"


def _fills(facts: Sequence[Fact]) -> Iterator[pb.OrderEvent]:
    return (each.fact.order for each in facts if each.fact.order.HasField("filled"))


def fills_of(facts: Sequence[Fact]) -> dict[str, list[Fill]]:
    """Return the fills by instrument."""
    found: dict[str, list[Fill]] = defaultdict(list)
    for event in _fills(facts):
        sign = 1 if event.filled.order_side == enums.ORDER_SIDE_BUY else -1
        pair = (sign * Decimal(event.filled.last_qty), Decimal(event.filled.last_px))
        found[event.instrument_id].append(pair)
    return found


def _position_faults(facts: Sequence[Fact]) -> Iterator[str]:
    told = {
        each.fact.position.position.instrument_id: Decimal(each.fact.position.position.signed_qty)
        for each in facts
        if each.fact.HasField("position")
    }
    for instrument, fills in fills_of(facts).items():
        total = sum((quantity for quantity, _ in fills), Decimal())
        if told.get(instrument) != total:
            yield f"{instrument}: fills of {total}, a position of {told.get(instrument)}"


def _account_faults(facts: Sequence[Fact]) -> Iterator[str]:
    totals = [_total(each.fact.account) for each in facts if each.fact.HasField("account")]
    count = sum(1 for _ in _fills(facts))
    expected = totals[0] + gain(facts)
    if abs(expected - totals[-1]) > ROUNDING * (count + 1):
        yield f"an account of {totals[-1]}, and its fills say {expected}"


def gain(facts: Sequence[Fact]) -> Decimal:
    """Return what the fills have realised, less their commissions."""
    commissions = (Decimal(each.filled.commission.amount or 0) for each in _fills(facts))
    realised = (_realised(fills) for fills in fills_of(facts).values())
    return sum(realised, Decimal()) - sum(commissions, Decimal())


def _total(account: pb.AccountState) -> Decimal:
    (balance,) = account.balances  # these traders have one currency
    return Decimal(balance.total)


def _realised(fills: Sequence[Fill]) -> Decimal:
    """Return the profit of fills that net, at the average price of what is open."""
    open_, price, profit = Decimal(), Decimal(), Decimal()
    for quantity, at in fills:
        if open_ * quantity >= 0:
            price = (price * abs(open_) + at * abs(quantity)) / (abs(open_) + abs(quantity))
        else:
            closed = min(abs(open_), abs(quantity))
            profit += closed * (at - price) * (1 if open_ > 0 else -1)
            price = at if abs(quantity) > abs(open_) else price
        open_ += quantity
    return profit
