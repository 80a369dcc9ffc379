"""EX-20 to EX-24: order lists and their contingencies, through the desk against the sandbox."""

from typing import Any

from integration.live_execution.engine.bench import Bench, ticket
from mesh.execution.v1.order_pb2 import OrderTicket


def pair(kind: str, **first: Any) -> list[OrderTicket]:
    """Return a take profit and a stop loss that are tied to each other."""
    profit = ticket(**{"type": "LIMIT", "side": "SELL", "price": "51000", **first})
    loss = ticket(type="STOP_MARKET", side="SELL", trigger_price="49000")
    for one, other in ((profit, loss), (loss, profit)):
        one.contingency_type = ticket(contingency_type=kind).contingency_type
        one.linked_order_ids.append(other.client_order_id)
        one.reduce_only = True
    return [profit, loss]


def bracket(**entry: Any) -> list[OrderTicket]:
    """Return an entry, and the two orders that its fill sets to work."""
    children = pair("OUO")
    parent = ticket(contingency_type="OTO", **entry)
    parent.linked_order_ids.extend(child.client_order_id for child in children)
    for child in children:
        child.parent_order_id = parent.client_order_id
    return [parent, *children]


def last(trader: Bench, tickets: list[OrderTicket]) -> list[str]:
    """Return the last event of each order."""
    return [trader.events(each.client_order_id)[-1] for each in tickets]


async def test_one_cancels_the_other(trader: Bench) -> None:
    """EX-20 (TC-E50): when one order of an OCO fills the other is cancelled."""
    await trader.submit(ticket())
    both = pair("OCO")
    taken = await trader.submit(*both, list_id="OCO-1")
    assert list(taken.client_order_ids) == [each.client_order_id for each in both]
    assert last(trader, both) == ["ACCEPTED", "ACCEPTED"]
    await trader.quote(51000, 51001)
    assert last(trader, both) == ["FILLED", "CANCELED"]
    assert float(trader.net()) == 0


async def test_one_updates_the_other(trader: Bench) -> None:
    """EX-21: with OUO a partial fill makes the other smaller, a whole one ends it."""
    await trader.submit(ticket(quantity="2"))
    both = pair("OUO", quantity="2")
    both[1].quantity = "2"
    await trader.submit(*both, list_id="OUO-1")
    await trader.quote(51000, 51001, size=0.5)
    loss = next(
        o for o in trader.cache.orders_open() if o.side.name == "SELL" and o.has_trigger_price
    )
    assert float(loss.leaves_qty) == 1.5
    await trader.quote(51002, 51003)
    assert last(trader, both) == ["FILLED", "CANCELED"]


async def test_bracket(trader: Bench) -> None:
    """EX-22 (TC-E51, E52): children wait for the entry's fill, and end with each other."""
    orders = bracket(type="LIMIT", price="49900")
    await trader.submit(*orders, list_id="BR-1")
    assert last(trader, orders) == ["ACCEPTED", "SUBMITTED", "SUBMITTED"]
    await trader.quote(49898, 49899)
    assert last(trader, orders) == ["FILLED", "ACCEPTED", "ACCEPTED"]
    await trader.quote(48990, 48991)
    assert last(trader, orders) == ["FILLED", "CANCELED", "FILLED"]
    assert float(trader.net()) == 0


async def test_bracket_at_the_market(trader: Bench) -> None:
    """EX-23: a bracket with a market entry has its children at work at once."""
    orders = bracket()
    await trader.submit(*orders, list_id="BR-2")
    assert last(trader, orders) == ["FILLED", "ACCEPTED", "ACCEPTED"]
    children = [each.client_order_id for each in orders[1:]]
    assert (await trader.cancel(children[0])).reason == ""
    assert last(trader, orders[1:]) == ["CANCELED", "CANCELED"]


async def test_lists_that_do_not_fit(trader: Bench) -> None:
    """EX-24: a list that is not tied together rightly is refused whole, with its fields named."""
    lone = pair("OCO")[:1]
    taken = await trader.submit(*lone, list_id="BAD-1")
    assert taken.reason == "ORDER_INVALID"
    assert "orders[0].linked_order_ids" in taken.message
    twice = [ticket(client_order_id="SAME"), ticket(client_order_id="SAME")]
    assert "used twice" in (await trader.submit(*twice, list_id="BAD-2")).message
    child_first = bracket()[::-1]
    taken = await trader.submit(*child_first, list_id="BAD-3")
    assert "comes before this one" in taken.message
    assert not trader.cache.orders()
