"""The orders of EX-240: what each is, and every event that must be told of it, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from e2e.trading.venue_desk import BTC, ETH, SOL
from mesh.execution.v1.order_pb2 import OrderTicket
from meshclient.tickets import bracket, oco, ticket


@dataclass(frozen=True)
class Case:
    """An order, its name being its id, and the events that follow INITIALIZED."""

    ticket: OrderTicket
    told: str

    @property
    def name(self) -> str:
        """Its id."""
        return self.ticket.client_order_id

    @property
    def events(self) -> list[str]:
        """Every event, in order."""
        return ["INITIALIZED", *self.told.split()]


def of(instrument_id: str, name: str, told: str, /, side: str, quantity: str, **more: Any) -> Case:
    """Return a case; ``more`` are fields of ``ticket``."""
    return Case(ticket(instrument_id, side, quantity, client_order_id=name, **more), told)


def btc(name: str, told: str, quantity: str = "0.1", side: str = "BUY", **more: Any) -> Case:
    """Return a case in BTC."""
    return of(BTC, name, told, side, quantity, **more)


FILLED = "SUBMITTED FILLED"
RESTS = "SUBMITTED ACCEPTED"
CANCELED = f"{RESTS} PENDING_CANCEL CANCELED"
RELEASED = "EMULATED INITIALIZED RELEASED SUBMITTED FILLED"
"""The second INITIALIZED is the market order that an emulated one becomes."""
LOW, BEST = {"price": "49000.00"}, {"price": "50001.00"}
TRAILS = {"trailing_offset": "100", "trailing_offset_type": "PRICE", "trigger_type": "BID_ASK"}
FOLLOWED = f"{RESTS} UPDATED UPDATED"
"""The trigger is set with the first price, and follows when the market rises."""

AT_ONCE = [
    btc("market", FILLED),
    btc("market-ioc", FILLED, time_in_force="IOC"),
    btc("market-fok", FILLED, time_in_force="FOK"),
    btc("market-day", FILLED, time_in_force="DAY"),
    btc("market-quote", "SUBMITTED UPDATED FILLED", "5000.1", quote_quantity=True),
    btc("market-open", "SUBMITTED REJECTED", time_in_force="AT_THE_OPEN"),
    btc("limit-close", "SUBMITTED REJECTED", time_in_force="AT_THE_CLOSE", **LOW),
    btc("limit-taker", f"{RESTS} FILLED", **BEST),
    btc("limit-ioc", f"{RESTS} FILLED CANCELED", "12", time_in_force="IOC", **BEST),
    btc("limit-ioc-far", f"{RESTS} CANCELED", time_in_force="IOC", **LOW),
    btc("limit-fok", f"{RESTS} CANCELED", "12", time_in_force="FOK", **BEST),
    btc("post-only-taker", "SUBMITTED REJECTED", post_only=True, **BEST),
    btc("stop-in-market", "SUBMITTED REJECTED", trigger_price="49999.00"),
]
"""Over as soon as they rest, in a market of 50000 to 50001 with 10 BTC on each side."""

RESTING = [
    btc(
        "market-to-limit", "SUBMITTED UPDATED FILLED ACCEPTED FILLED", "12", type="MARKET_TO_LIMIT"
    ),
    btc("limit", f"{RESTS} FILLED", **LOW),
    btc("limit-day", f"{RESTS} FILLED", time_in_force="DAY", **LOW),
    btc("post-only", f"{RESTS} FILLED", post_only=True, **LOW),
    btc("iceberg", f"{RESTS} FILLED", "5", display_qty="1", **LOW),
    btc("stop-market", f"{RESTS} FILLED", trigger_price="50100.00"),
    btc("stop-limit", f"{RESTS} TRIGGERED FILLED", trigger_price="50100.00", price="50050.00"),
    btc("touched-market", f"{RESTS} FILLED", type="MARKET_IF_TOUCHED", trigger_price="49900.00"),
    btc(
        "touched-limit",
        f"{RESTS} TRIGGERED FILLED",
        type="LIMIT_IF_TOUCHED",
        trigger_price="49900.00",
        price="49880.00",
    ),
    btc("trailing-market", f"{FOLLOWED} FILLED", side="SELL", **TRAILS),
    btc("trailing-limit", f"{FOLLOWED} TRIGGERED FILLED", side="SELL", limit_offset="50", **TRAILS),
    btc("emulated-stop", RELEASED, trigger_price="50100.00", emulation_trigger="BID_ASK"),
    btc("emulated-limit", RELEASED, emulation_trigger="DEFAULT", **LOW),
    btc("emulated-cancelled", "EMULATED CANCELED", emulation_trigger="DEFAULT", **LOW),
    btc("limit-modified", f"{RESTS} PENDING_UPDATE UPDATED FILLED", price="48000.00"),
    btc("stop-modified", f"{RESTS} PENDING_UPDATE UPDATED FILLED", trigger_price="51000.00"),
    btc("refused", f"{RESTS} PENDING_UPDATE MODIFY_REJECTED FILLED", post_only=True, **LOW),
    btc("cancelled", CANCELED, price="40000.00"),
    btc("batched", CANCELED, price="40000.00"),
    btc("one-of-all", CANCELED, price="40000.00"),
]
"""They rest at 50000 to 50001; what is done with them, and ``MOVES``, let happen what is told."""

MOVES = [
    ("50099.00", "50101.00"),  # stops at 50100, and trailing stops follow
    ("50040.00", "50049.00"),  # the triggered stop's limit at 50050
    ("49889.00", "49890.00"),  # touched at 49900, and the trailing stops at 49999
    ("49870.00", "49879.00"),  # the touched limit at 49880
    ("48990.00", "48999.00"),  # limits at 49000
    ("50060.00", "50061.00"),  # the trailing stop's limit at 50049
]


def eth(name: str, told: str, side: str, price: str, quantity: str = "1", **more: Any) -> Case:
    """Return a limit order in ETH."""
    return of(ETH, name, told, side, quantity, price=price, **more)


def _lists(tickets: Sequence[OrderTicket], *told: str) -> list[Case]:
    return [Case(each, events) for each, events in zip(tickets, told, strict=True)]


def _tied(kind: str, other: str) -> dict[str, Any]:
    return {"contingency_type": kind, "linked_order_ids": [other]}


_OCO = [eth("oco-buy", "", "BUY", "2950"), eth("oco-sell", "", "SELL", "3010")]
_EXITS = {"stop": "2900", "target": "3050"}

LISTS: list[list[Case]] = [
    _lists(oco(*(each.ticket for each in _OCO)), f"{RESTS} CANCELED", f"{RESTS} FILLED"),
    [
        eth("ouo-buy", f"{RESTS} UPDATED CANCELED", "BUY", "2950", "2", **_tied("OUO", "ouo-sell")),
        eth("ouo-sell", f"{RESTS} FILLED FILLED", "SELL", "3015", "2", **_tied("OUO", "ouo-buy")),
    ],
    [
        eth("oto", f"{RESTS} FILLED", "BUY", "2990", **_tied("OTO", "oto-child")),
        eth("oto-child", f"{RESTS} FILLED", "SELL", "3030", parent_order_id="oto"),
    ],
    _lists(
        bracket(ETH, "BUY", "1", price="2985", client_order_id="entry", **_EXITS),
        *(f"{RESTS} FILLED", f"{RESTS} CANCELED", f"{RESTS} FILLED"),
    ),
    _lists(
        bracket(ETH, "BUY", "1", client_order_id="market-entry", stop="2800", target="3060"),
        *(FILLED, f"{RESTS} CANCELED", CANCELED),
    ),
    _lists(
        bracket(ETH, "BUY", "1", price="2750", client_order_id="given-up", **_EXITS),
        *(CANCELED, "SUBMITTED CANCELED", "SUBMITTED CANCELED"),
    ),
]
"""OCO, OUO, OTO and brackets, in a market of 3000 to 3001."""

LIST_MOVES = [
    ("3010.00", "3011.00", "10"),  # the OCO's sale
    ("3015.00", "3016.00", "0.5"),  # a part of the OUO's sale
    ("3016.00", "3017.00", "10"),  # its rest
    ("2988.00", "2989.00", "10"),  # the OTO's parent; a sandbox fills the best limit of a price,
    ("2983.00", "2984.00", "10"),  # and those behind it with the next: the bracket's entry
    ("3031.00", "3032.00", "10"),  # the OTO's child
    ("3051.00", "3052.00", "10"),  # the bracket's target
]


def sol(name: str, told: str, side: str, quantity: str, **more: Any) -> Case:
    """Return a case in SOL."""
    return of(SOL, name, told, side, quantity, **more)


REDUCING = [
    sol("denied", "DENIED", "BUY", "70"),
    sol("reduces-nothing", "SUBMITTED REJECTED", "SELL", "1", reduce_only=True),
    sol("opens", FILLED, "BUY", "5"),
    sol("reduces-later", f"{RESTS} CANCELED", "SELL", "5", price="160", reduce_only=True),
    sol("reduces", "SUBMITTED UPDATED FILLED", "SELL", "8", reduce_only=True),
]
"""One after the other, in a market of 150: too much for a limit, and reduce-only orders."""
