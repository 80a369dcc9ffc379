"""What can be said of an order ticket without an engine: rules of its type and its instrument.

The API checks before it commits a command, and the trader checks again with the instrument that
it has. Nothing here imports Nautilus; the rules are those of its order classes.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1.order_pb2 import ModifyCommand, OrderTicket
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.enums import bare
from meshkit.errors import FieldViolation
from meshkit.times import to_nanos

MOST_QUANTITY = Decimal("34028236692093")
MOST_PRICE = Decimal("17014118346046")
"""The largest values that Nautilus holds; it refuses larger ones in ways that hurt."""

LAST_NS = 2**63 - 1

OURS = "mesh:"
"""How tags of the mesh begin; see ``names``."""


class Rule(NamedTuple):
    """Which fields an order of a type must and may have, beside those that all have."""

    needs: frozenset[str]
    may: frozenset[str]
    auctions: bool = False
    """Whether AT_THE_OPEN and AT_THE_CLOSE are taken."""


_EMULATED = ("emulation_trigger", "trigger_instrument_id")
_TRAILING = ("trigger_price", "trigger_type", "trailing_offset_type", "activation_price")


def _rule(needs: str, *may: str, auctions: bool = False) -> Rule:
    return Rule(frozenset(needs.split()), frozenset(may), auctions)


RULES: dict[int, Rule] = {
    enums.ORDER_TYPE_MARKET: _rule("", auctions=True),
    enums.ORDER_TYPE_LIMIT: _rule("price", "post_only", "display_qty", *_EMULATED, auctions=True),
    enums.ORDER_TYPE_STOP_MARKET: _rule("trigger_price", "trigger_type", *_EMULATED),
    enums.ORDER_TYPE_STOP_LIMIT: _rule(
        "price trigger_price", "trigger_type", "post_only", "display_qty", *_EMULATED
    ),
    enums.ORDER_TYPE_MARKET_TO_LIMIT: _rule("", "display_qty"),
    enums.ORDER_TYPE_MARKET_IF_TOUCHED: _rule("trigger_price", "trigger_type", *_EMULATED),
    enums.ORDER_TYPE_LIMIT_IF_TOUCHED: _rule(
        "price trigger_price", "trigger_type", "post_only", "display_qty", *_EMULATED
    ),
    enums.ORDER_TYPE_TRAILING_STOP_MARKET: _rule("trailing_offset", *_TRAILING, *_EMULATED),
    enums.ORDER_TYPE_TRAILING_STOP_LIMIT: _rule(
        "trailing_offset limit_offset",
        "price",
        "post_only",
        "display_qty",
        *_TRAILING,
        *_EMULATED,
    ),
}
"""By ``OrderType``."""

SPECIAL = frozenset().union(*(rule.needs | rule.may for rule in RULES.values()))
"""Fields that some types have and others do not."""

AUCTIONS = {enums.TIME_IN_FORCE_AT_THE_OPEN, enums.TIME_IN_FORCE_AT_THE_CLOSE}
AT_ONCE = {enums.TIME_IN_FORCE_IOC, enums.TIME_IN_FORCE_FOK}
EMULATED = {enums.TRIGGER_TYPE_DEFAULT, enums.TRIGGER_TYPE_BID_ASK, enums.TRIGGER_TYPE_LAST_PRICE}
"""Triggers that Nautilus' emulator knows."""
TRAILED = {
    enums.TRIGGER_TYPE_UNSPECIFIED,
    enums.TRIGGER_TYPE_DEFAULT,
    enums.TRIGGER_TYPE_BID_ASK,
    enums.TRIGGER_TYPE_LAST_PRICE,
    enums.TRIGGER_TYPE_LAST_OR_BID_ASK,
    enums.TRIGGER_TYPE_MARK_PRICE,
}
"""Triggers that a trailing stop can follow."""

_PRICES = ("price", "trigger_price", "activation_price")
_TEXTS = (
    "instrument_id",
    "trigger_instrument_id",
    "parent_order_id",
    "position_id",
    "exec_algorithm_id",
)


def check_ticket(
    ticket: OrderTicket,
    definition: InstrumentDefinition | None = None,
    *,
    field: str = "order",
    now_ns: int = 0,
    listed: bool = False,
) -> list[FieldViolation]:
    """Return what is wrong with a ticket, by field below ``field``; empty when nothing is.

    With a ``definition`` prices, quantities and bounds are compared with it. With ``now_ns``
    (unix ns, the trader's time) an expire time must be after it. ``listed``: part of an order
    list, so that contingencies are allowed; see ``check_list`` for these.
    """
    found = [
        *_texts(ticket),
        *_shape(ticket),
        *_time_in_force(ticket, now_ns),
        *_triggers(ticket),
        *_quantities(ticket, definition),
        *_prices(ticket, definition),
    ]
    if not listed:
        found += [(name, "belongs to an order list") for name in _tied(ticket)]
    return [FieldViolation(f"{field}.{name}", text) for name, text in found]


def check_list(
    tickets: Sequence[OrderTicket],
    order_list_id: str = "",
    *,
    definitions: Sequence[InstrumentDefinition | None] = (),
    field: str = "orders",
    now_ns: int = 0,
) -> list[FieldViolation]:
    """Return what is wrong with an order list: each ticket, and how they are tied."""
    found: list[FieldViolation] = []
    if not _plain(order_list_id):
        found.append(FieldViolation("order_list_id", "must be ASCII text"))
    known: dict[str, OrderTicket] = {}
    given = [*definitions, *[None] * (len(tickets) - len(definitions))]
    for place, (ticket, definition) in enumerate(zip(tickets, given, strict=True)):
        where = f"{field}[{place}]"
        found += check_ticket(ticket, definition, field=where, now_ns=now_ns, listed=True)
        if ticket.client_order_id in known:
            text = "is used twice in the list"
            found.append(FieldViolation(f"{where}.client_order_id", text))
        found += [FieldViolation(f"{where}.{name}", text) for name, text in _parent(ticket, known)]
        known[ticket.client_order_id] = ticket
    for place, ticket in enumerate(tickets):
        where = f"{field}[{place}]"
        found += [FieldViolation(f"{where}.{name}", text) for name, text in _links(ticket, known)]
    if len({ticket.instrument_id.rpartition(".")[2] for ticket in tickets}) > 1:
        found.append(FieldViolation(field, "must all be of one venue"))
    return found


def check_modify(
    command: ModifyCommand, definition: InstrumentDefinition | None = None
) -> list[FieldViolation]:
    """Return what is wrong with a modification."""
    found: list[tuple[str, str]] = []
    if not (command.quantity or command.price or command.trigger_price):
        found.append(("quantity", "or price or trigger_price must be given"))
    if command.quantity:
        found += _quantity("quantity", command.quantity, definition, bounds=True)
    for name in ("price", "trigger_price"):
        if value := getattr(command, name):
            found += _price(name, value, definition)
    return [FieldViolation(name, text) for name, text in found]


def is_instrument_id(text: str) -> bool:
    """Whether a text has the form of an instrument id."""
    symbol, _, venue = text.rpartition(".")
    return bool(symbol and venue) and _plain(text)


type _Found = Iterable[tuple[str, str]]


def _plain(text: str) -> bool:
    """Whether Nautilus can hold a text as an identifier; of others it ends the process."""
    return text.isascii() and text.isprintable() and text == text.strip()


def _texts(ticket: OrderTicket) -> _Found:
    for name in _TEXTS:
        if not _plain(getattr(ticket, name)):
            yield name, "must be ASCII text"
    for name in ("linked_order_ids", "tags"):
        if not all(text and _plain(text) for text in getattr(ticket, name)):
            yield name, "must be ASCII texts"
    if any(tag.startswith(OURS) for tag in ticket.tags):
        yield "tags", f"must not begin with {OURS}, which the mesh marks its own orders with"
    for name in ("instrument_id", "trigger_instrument_id"):
        if (text := getattr(ticket, name)) and not is_instrument_id(text):
            yield name, "must be a symbol, a dot and a venue, such as BTCUSDT.BINANCE"
    if ticket.side not in (enums.ORDER_SIDE_BUY, enums.ORDER_SIDE_SELL):
        yield "side", "must be BUY or SELL"


def _given(ticket: OrderTicket, name: str) -> bool:
    value = getattr(ticket, name)
    if name in ("trigger_type", "emulation_trigger"):
        return value not in (enums.TRIGGER_TYPE_UNSPECIFIED, enums.TRIGGER_TYPE_NO_TRIGGER)
    return bool(value)


def _shape(ticket: OrderTicket) -> _Found:
    rule = RULES.get(ticket.type)
    if rule is None:
        yield "type", "must be given"
        return
    name_of_type = bare(enums.OrderType, ticket.type)
    for name in sorted(SPECIAL):
        given = _given(ticket, name)
        if name in rule.needs and not given:
            yield name, f"is required for {name_of_type}"
        if given and name not in rule.needs | rule.may:
            yield name, f"is not for {name_of_type}; leave it out"
    if ticket.trigger_instrument_id and not _given(ticket, "emulation_trigger"):
        yield "trigger_instrument_id", "needs an emulation_trigger"


def _time_in_force(ticket: OrderTicket, now_ns: int) -> _Found:
    kind = ticket.time_in_force
    if kind == enums.TIME_IN_FORCE_GTD:
        if ticket.type == enums.ORDER_TYPE_MARKET:
            yield "time_in_force", "GTD is not for MARKET"
        if not ticket.HasField("expire_time"):
            yield "expire_time", "is required for GTD"
        elif not 0 < to_nanos(ticket.expire_time) <= LAST_NS:
            yield "expire_time", "must be after 1970 and before 2262"
        elif to_nanos(ticket.expire_time) <= now_ns:
            yield "expire_time", "is past, by the trader's clock"
    elif ticket.HasField("expire_time"):
        yield "expire_time", "is for GTD; leave it out"
    rule = RULES.get(ticket.type)
    if kind in AUCTIONS and rule is not None and not rule.auctions:
        yield "time_in_force", f"{bare(enums.TimeInForce, kind)} is for MARKET and LIMIT"
    if kind in AT_ONCE and ticket.post_only:
        text = f"contradicts {bare(enums.TimeInForce, kind)}, which takes liquidity or ends"
        yield "post_only", text


def _triggers(ticket: OrderTicket) -> _Found:
    if _given(ticket, "emulation_trigger") and ticket.emulation_trigger not in EMULATED:
        yield "emulation_trigger", "must be DEFAULT, BID_ASK or LAST_PRICE"
    trailing = ticket.type in (
        enums.ORDER_TYPE_TRAILING_STOP_MARKET,
        enums.ORDER_TYPE_TRAILING_STOP_LIMIT,
    )
    if not trailing:
        return
    if ticket.trigger_type not in TRAILED:
        names = "DEFAULT, BID_ASK, LAST_PRICE, LAST_OR_BID_ASK or MARK_PRICE"
        yield "trigger_type", f"of a trailing stop must be {names}"
    if ticket.trailing_offset_type == enums.TRAILING_OFFSET_TYPE_PRICE_TIER:
        yield "trailing_offset_type", "must be PRICE, BASIS_POINTS or TICKS"
    if ticket.trailing_offset_type == enums.TRAILING_OFFSET_TYPE_NO_TRAILING_OFFSET:
        yield "trailing_offset_type", "must be PRICE, BASIS_POINTS or TICKS"
    for name in ("trailing_offset", "limit_offset"):
        value = getattr(ticket, name)
        if value and not 0 < Decimal(value) <= MOST_PRICE:
            yield name, "must be above 0"


def _quantities(ticket: OrderTicket, definition: InstrumentDefinition | None) -> _Found:
    bounds = not ticket.quote_quantity
    yield from _quantity("quantity", ticket.quantity or "0", definition, bounds=bounds)
    if ticket.display_qty:
        shown = Decimal(ticket.display_qty)
        if shown > Decimal(ticket.quantity or 0):
            yield "display_qty", "must not be more than the quantity"
        if shown:
            yield from _quantity("display_qty", ticket.display_qty, definition, bounds=False)


def _quantity(
    name: str, text: str, definition: InstrumentDefinition | None, *, bounds: bool
) -> _Found:
    value = Decimal(text)
    if not 0 < value <= MOST_QUANTITY:
        yield name, "must be above 0" if value <= 0 else f"must not be above {MOST_QUANTITY}"
        return
    if definition is None:
        return
    yield from _on_grid(name, value, definition.size_increment, _size_precision(definition))
    if bounds and definition.min_quantity and value < Decimal(definition.min_quantity):
        yield name, f"is less than {definition.instrument_id} takes: {definition.min_quantity}"
    if bounds and definition.max_quantity and value > Decimal(definition.max_quantity):
        yield name, f"is more than {definition.instrument_id} takes: {definition.max_quantity}"


def _prices(ticket: OrderTicket, definition: InstrumentDefinition | None) -> _Found:
    for name in _PRICES:
        if value := getattr(ticket, name):
            # A trigger on another instrument's price has that one's increment.
            elsewhere = name == "trigger_price" and ticket.trigger_instrument_id
            yield from _price(name, value, None if elsewhere else definition)


def _price(name: str, text: str, definition: InstrumentDefinition | None) -> _Found:
    value = Decimal(text)
    if abs(value) > MOST_PRICE:
        yield name, f"must not be beyond {MOST_PRICE}"
    elif definition is not None:
        precision = definition.price_precision if definition.HasField("price_precision") else None
        yield from _on_grid(name, value, definition.price_increment, precision)
        if definition.min_price and value < Decimal(definition.min_price):
            yield name, f"is below {definition.min_price}, the least of the instrument"
        if definition.max_price and value > Decimal(definition.max_price):
            yield name, f"is above {definition.max_price}, the most of the instrument"


def _size_precision(definition: InstrumentDefinition) -> int | None:
    """Return the decimals of sizes: none said and no increment are whole ones, as in Nautilus."""
    if definition.HasField("size_precision"):
        return definition.size_precision
    return None if definition.size_increment else 0


def _on_grid(name: str, value: Decimal, increment: str, precision: int | None) -> _Found:
    step = Decimal(increment) if increment else None
    if not step:
        step = None if precision is None else Decimal(1).scaleb(-precision)
    if step is None or value % step == 0:
        return
    below = value // step * step
    yield name, f"is off the increment {step:f}; the nearest are {below:f} and {below + step:f}"


def _tied(ticket: OrderTicket) -> Iterable[str]:
    if _contingent(ticket):
        yield "contingency_type"
    if ticket.linked_order_ids:
        yield "linked_order_ids"
    if ticket.parent_order_id:
        yield "parent_order_id"


def _contingent(ticket: OrderTicket) -> bool:
    return ticket.contingency_type not in (
        enums.CONTINGENCY_TYPE_UNSPECIFIED,
        enums.CONTINGENCY_TYPE_NO_CONTINGENCY,
    )


def _parent(ticket: OrderTicket, before: dict[str, OrderTicket]) -> _Found:
    if not ticket.parent_order_id:
        return
    parent = before.get(ticket.parent_order_id)
    if parent is None:
        yield "parent_order_id", "must be an order of the list that comes before this one"
    elif parent.contingency_type != enums.CONTINGENCY_TYPE_OTO:
        yield "parent_order_id", "must be an order of contingency OTO"
    elif ticket.client_order_id not in parent.linked_order_ids:
        yield "parent_order_id", "must be an order that links to this one"


def _links(ticket: OrderTicket, known: dict[str, OrderTicket]) -> _Found:
    if _contingent(ticket) and not ticket.linked_order_ids:
        kind = bare(enums.ContingencyType, ticket.contingency_type)
        yield "linked_order_ids", f"are required for {kind}"
    if ticket.linked_order_ids and not _contingent(ticket):
        yield "contingency_type", "is required with linked_order_ids"
    for linked in ticket.linked_order_ids:
        if linked not in known or linked == ticket.client_order_id:
            yield "linked_order_ids", f"{linked} is no other order of the list"
