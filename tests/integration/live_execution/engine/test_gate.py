"""EX-32 to EX-36: nothing is sent past the gate, and what is sent was journalled before."""

import pytest

from integration.live_execution.engine.bench import Bench, ticket
from services.live_execution.trader.ports import HaltNotice, Refusal

AWAY = Refusal("LEASE_LOST", "The lease has ended.")


def halt(scope: str, *, reducing: bool = False, flatten: str = "") -> HaltNotice:
    """Return a halt."""
    return HaltNotice(f"H-{scope}", scope, reducing, flatten, "a test")


async def test_intents(trader: Bench) -> None:
    """EX-32: every submission, modification and cancellation is an intent before anything of it."""
    order = ticket(type="LIMIT", price="49000")
    await trader.submit(order)
    await trader.modify(order.client_order_id, price="49100")
    await trader.cancel(order.client_order_id)
    told = [f for f in trader.outside.facts if f.HasField("intent") or f.HasField("order")]
    kinds = [f.intent.action or f.order.type for f in told]
    words = [kind for kind in kinds if isinstance(kind, str)]
    assert words == ["SUBMIT", "MODIFY", "CANCEL"]
    events = trader.events(order.client_order_id)
    assert events == [
        *("INITIALIZED", "SUBMITTED", "ACCEPTED"),
        *("PENDING_UPDATE", "UPDATED", "PENDING_CANCEL", "CANCELED"),
    ]
    places = [kinds.index(word) for word in words]
    follows = [next(f.order for f in told[p:] if f.HasField("order")) for p in places]
    assert [f.type for f in follows] == [4 + 1, 15, 8]  # SUBMITTED, UPDATED, CANCELED
    assert told[places[1]].intent.params["price"] == "49100.00"


@pytest.mark.parametrize("scope", ["all", "venue:BINANCE", "strategy:T-001:MANUAL"])
async def test_halt(trader: Bench, scope: str) -> None:
    """EX-33: a halt denies new orders and modifications; cancels and the mesh's own pass."""
    await trader.submit(ticket(quantity="2"))
    resting = ticket(type="LIMIT", price="49000")
    await trader.submit(resting)
    trader.outside.halt(halt(scope))
    refused = ticket()
    assert (await trader.submit(refused)).reason == ""
    assert trader.events(refused.client_order_id) == ["INITIALIZED", "DENIED"]
    assert trader.reason(refused.client_order_id).startswith("TRADER_HALTED: ")
    await trader.modify(resting.client_order_id, price="49100")
    assert trader.events(resting.client_order_id)[-1] == "MODIFY_REJECTED"
    await trader.cancel(resting.client_order_id)
    assert trader.events(resting.client_order_id)[-1] == "CANCELED"
    trader.trader.safety.close(trader.cache.positions_open()[0], "a flatten")
    await trader.quiet()
    assert float(trader.net()) == 0
    trader.outside.halt()
    again = ticket()
    await trader.submit(again)
    assert trader.events(again.client_order_id)[-1] == "FILLED"


async def test_reducing_halt(trader: Bench) -> None:
    """EX-34: a reducing halt lets through what makes a position smaller, and no more than that."""
    await trader.submit(ticket(quantity="2"))
    trader.outside.halt(halt("all", reducing=True))
    plans = {
        "more": ({"quantity": "1"}, "DENIED"),
        "turned": ({"side": "SELL", "quantity": "3"}, "DENIED"),
        "less": ({"side": "SELL", "quantity": "1"}, "FILLED"),
        "flat": ({"side": "SELL", "quantity": "1"}, "FILLED"),
        "beyond": ({"side": "SELL", "quantity": "1"}, "DENIED"),
    }
    for name, (plan, expected) in plans.items():
        order = ticket(**plan)
        await trader.submit(order)
        assert trader.events(order.client_order_id)[-1] == expected, name


async def test_lists_and_releases(trader: Bench) -> None:
    """EX-35: an emulated order is stopped as it is released, a list as a whole."""
    held = ticket(type="STOP_MARKET", trigger_price="50100", emulation_trigger="BID_ASK")
    await trader.submit(held)
    trader.outside.halt(halt("all"))
    await trader.quote(50099, 50101)
    assert trader.events(held.client_order_id)[-1] == "DENIED"
    pair = [ticket(type="LIMIT", price=price) for price in ("49000", "48000")]
    await trader.submit(*pair, list_id="L-1")
    assert [trader.events(each.client_order_id)[-1] for each in pair] == ["DENIED", "DENIED"]
    assert not [f for f in trader.outside.facts if f.HasField("intent")]


async def test_without_lease(trader: Bench) -> None:
    """EX-36: a process that may not send anything rejects even cancels, of all kinds."""
    order = ticket(type="LIMIT", price="49000")
    await trader.submit(order)
    trader.outside.refused = AWAY
    await trader.cancel(order.client_order_id)
    assert trader.events(order.client_order_id)[-1] == "CANCEL_REJECTED"
    assert trader.reason(order.client_order_id) == "LEASE_LOST: The lease has ended."
    strategy = trader.trader.desk
    strategy.cancel_all_orders(trader.instrument.id)
    await trader.quiet()
    assert trader.events(order.client_order_id)[-1] == "CANCEL_REJECTED"
    strategy.cancel_orders([trader.cache.orders_open()[0]])
    await trader.quiet()
    assert trader.events(order.client_order_id)[-1] == "CANCEL_REJECTED"
    trader.outside.refused = None
    strategy.cancel_all_orders(trader.instrument.id)
    await trader.quiet()
    assert trader.events(order.client_order_id)[-1] == "CANCELED"
