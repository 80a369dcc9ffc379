"""EX-01 to EX-19: every order type, time in force and instruction against the sandbox.

Modelled on Nautilus' ``spec_exec_testing`` (TC-E…), through desk, gate and journal. The market
stands at 50000 to 50001 when a test begins.
"""

import time

from nautilus_trader.examples.algorithms.twap import TWAPExecAlgorithm

from integration.live_execution.engine.bench import Bench, ticket
from integration.live_execution.engine.conftest import Trading
from services.live_execution.engine.running import Running

FILLED = ["INITIALIZED", "SUBMITTED", "FILLED"]
RESTING = ["INITIALIZED", "SUBMITTED", "ACCEPTED"]
CANCELED = [*RESTING, "PENDING_CANCEL", "CANCELED"]


async def ending(trader: Bench, **plan: object) -> list[str]:
    """Submit an order and return its events when all has come to rest."""
    order = ticket(**plan)
    taken = await trader.submit(order)
    assert (taken.reason, taken.message, taken.submitter) == ("", "", "tester")
    assert list(taken.client_order_ids) == [order.client_order_id]
    return trader.events(order.client_order_id)


async def test_market(trader: Bench) -> None:
    """EX-01 (TC-E01 to E04): market orders fill, whatever their time in force."""
    assert await ending(trader, quantity="0.5") == FILLED
    assert await ending(trader, side="SELL", quantity="0.2") == FILLED
    for kind in ("IOC", "FOK", "DAY"):
        assert await ending(trader, time_in_force=kind, quantity="0.1") == FILLED
    assert trader.net() == "0.600000"


async def test_quote_quantity(trader: Bench) -> None:
    """EX-02 (TC-E05): a market order of 5000.1 USDT buys 0.1 BTC at the ask."""
    order = ticket(quantity="5000.1", quote_quantity=True)
    await trader.submit(order)
    assert trader.events(order.client_order_id)[-1] == "FILLED"
    assert trader.net() == "0.100000"


async def test_limit(trader: Bench) -> None:
    """EX-03 (TC-E10 to E13): a limit order rests, fills at its price or is cancelled."""
    resting = ticket(type="LIMIT", price="49000.00")
    await trader.submit(resting)
    assert trader.events(resting.client_order_id) == RESTING
    await trader.quote(48990, 48999)
    assert trader.events(resting.client_order_id) == [*RESTING, "FILLED"]
    other = ticket(type="LIMIT", price="48000", time_in_force="DAY", side="BUY")
    await trader.submit(other)
    assert (await trader.cancel(other.client_order_id)).reason == ""
    assert trader.events(other.client_order_id) == CANCELED


async def test_limit_at_once(trader: Bench) -> None:
    """EX-04 (TC-E14 to E17): IOC takes what there is, FOK all or nothing."""
    part = [*RESTING, "FILLED", "CANCELED"]
    await trader.quote(50000, 50001, size=1.0)
    at_once = {"type": "LIMIT", "price": "50001", "quantity": "3"}
    assert await ending(trader, **at_once, time_in_force="IOC") == part
    assert trader.net() == "1.000000"
    await trader.quote(50000, 50001, size=1.0)
    none = await ending(trader, **at_once, time_in_force="FOK")
    assert none[-1] in ("CANCELED", "REJECTED")
    assert "FILLED" not in none
    far = await ending(trader, type="LIMIT", price="49000", time_in_force="IOC")
    assert far[-1] == "CANCELED"


async def test_good_till_date(trader: Bench) -> None:
    """EX-05 (TC-E18): a GTD order expires at its time, without any tick."""
    order = ticket(type="LIMIT", price="49000", time_in_force="GTD")
    order.expire_time.FromNanoseconds(time.time_ns() + 300_000_000)
    await trader.submit(order)
    assert trader.events(order.client_order_id) == RESTING
    await trader.outside.until(
        lambda facts: trader.events(order.client_order_id)[-1] == "EXPIRED" or None
    )


async def test_post_only(trader: Bench) -> None:
    """EX-06 (TC-E40): post-only rests, and is rejected where it would take."""
    rested = await ending(trader, type="LIMIT", price="49000", post_only=True)
    assert rested == RESTING
    order = ticket(type="LIMIT", price="50001", post_only=True)
    await trader.submit(order)
    assert trader.events(order.client_order_id)[-1] == "REJECTED"
    assert "POST_ONLY" in trader.reason(order.client_order_id)


async def test_stops(trader: Bench) -> None:
    """EX-07 (TC-E20 to E23): stop orders rest until their trigger, then fill or rest as limits."""
    stop = ticket(type="STOP_MARKET", trigger_price="50100")
    limit = ticket(type="STOP_LIMIT", trigger_price="50100", price="50050")
    await trader.submit(stop)
    await trader.submit(limit)
    assert trader.events(stop.client_order_id) == RESTING
    await trader.quote(50099, 50101)
    assert trader.events(stop.client_order_id)[-1] == "FILLED"
    assert trader.events(limit.client_order_id) == [*RESTING, "TRIGGERED"]
    await trader.quote(50040, 50049)
    assert trader.events(limit.client_order_id)[-1] == "FILLED"


async def test_touched(trader: Bench) -> None:
    """EX-08 (TC-E24 to E27): touched orders wait for a better price, then go to market."""
    market = ticket(type="MARKET_IF_TOUCHED", trigger_price="49900")
    limit = ticket(type="LIMIT_IF_TOUCHED", trigger_price="49900", price="49880")
    await trader.submit(market)
    await trader.submit(limit)
    await trader.quote(49889, 49890)
    assert trader.events(market.client_order_id)[-1] == "FILLED"
    assert trader.events(limit.client_order_id)[-1] == "TRIGGERED"
    await trader.quote(49870, 49879)
    assert trader.events(limit.client_order_id)[-1] == "FILLED"


async def test_market_to_limit(trader: Bench) -> None:
    """EX-09: market-to-limit fills what there is, and rests at that price with the rest."""
    await trader.quote(50000, 50001, size=1.0)
    order = ticket(type="MARKET_TO_LIMIT", quantity="3")
    await trader.submit(order)
    assert "FILLED" in trader.events(order.client_order_id)
    resting = trader.cache.orders_open()[0]
    assert str(resting.price) == "50001.00"
    await trader.quote(49998, 49999)
    assert trader.net() == "3.000000"


async def test_trailing(trader: Bench) -> None:
    """EX-10 (TC-E28, E29): trailing stops follow the market by price, basis points or ticks."""
    plans = (
        {"trailing_offset": "100", "trailing_offset_type": "PRICE"},
        {"trailing_offset": "20", "trailing_offset_type": "BASIS_POINTS"},
        {"trailing_offset": "10000", "trailing_offset_type": "TICKS"},
    )
    ids: dict[str, list[str]] = {"TRAILING_STOP_MARKET": [], "TRAILING_STOP_LIMIT": []}
    for plan in plans:
        for kind in ids:
            extra = {"limit_offset": "50"} if kind == "TRAILING_STOP_LIMIT" else {}
            order = ticket(type=kind, side="SELL", trigger_type="BID_ASK", **plan, **extra)
            await trader.submit(order)
            ids[kind].append(order.client_order_id)
            assert "ACCEPTED" in trader.events(order.client_order_id), plan
    assert len(trader.cache.orders_open()) == 6
    await trader.quote(50500, 50501)
    triggers = {str(order.trigger_price) for order in trader.cache.orders_open()}
    assert triggers == {"50400.00", "50399.00"}
    await trader.quote(50390, 50391)
    for market in ids["TRAILING_STOP_MARKET"]:
        assert trader.events(market)[-1] == "FILLED"
    for limit in ids["TRAILING_STOP_LIMIT"]:
        assert "TRIGGERED" in trader.events(limit)


async def test_reduce_only(trader: Bench) -> None:
    """EX-11 (TC-E41): reduce-only never opens or turns a position."""
    alone = await ending(trader, side="SELL", reduce_only=True)
    assert alone[-1] in ("DENIED", "REJECTED")
    await trader.submit(ticket(quantity="0.5"))
    more = ticket(side="SELL", quantity="2", reduce_only=True)
    await trader.submit(more)
    assert trader.net() in ("0", "0.000000")


async def test_display_quantity(trader: Bench) -> None:
    """EX-12 (TC-E42): an iceberg's display quantity goes with the order."""
    order = ticket(type="LIMIT", price="49000", quantity="5", display_qty="1")
    await trader.submit(order)
    made = trader.cache.orders_open()[0]
    assert (str(made.display_qty), str(made.quantity)) == ("1.000000", "5.000000")


async def test_emulated(trader: Bench) -> None:
    """EX-13: an emulated order is held here, passes the gate when released, and fills."""
    stop = ticket(type="STOP_MARKET", trigger_price="50100", emulation_trigger="BID_ASK")
    limit = ticket(type="LIMIT", price="49000", emulation_trigger="DEFAULT")
    await trader.submit(stop)
    await trader.submit(limit)
    asked = len(trader.outside.asked)
    assert trader.events(stop.client_order_id) == ["INITIALIZED", "EMULATED"]
    assert asked == 0
    await trader.quote(50099, 50101)
    events = trader.events(stop.client_order_id)
    assert events[-1] == "FILLED"
    assert "RELEASED" in events
    assert len(trader.outside.asked) == 1
    await trader.cancel(limit.client_order_id)
    assert trader.events(limit.client_order_id)[-1] == "CANCELED"


async def test_sliced(run_trader: Trading) -> None:
    """EX-13: what an execution algorithm slices an order into passes the gate piece by piece."""
    algorithm = TWAPExecAlgorithm()

    def add(trader: Running) -> None:
        trader.kernel.trader.add_exec_algorithm(algorithm)

    async with run_trader(made=add) as trader:
        order = ticket(quantity="0.4", exec_algorithm_id="TWAP")
        order.exec_algorithm_params.update({"horizon_secs": 0.2, "interval_secs": 0.1})
        assert (await trader.submit(order)).reason == ""
        await trader.outside.until(lambda _: trader.net() == "0.400000" or None)
        intents = [f.intent for f in trader.outside.facts if f.HasField("intent")]
        assert len(intents) == len(trader.outside.asked) > 1
        assert {each.strategy_id for each in intents} == {"Desk-MANUAL"}


async def test_modify(trader: Bench) -> None:
    """EX-14 (TC-E30 to E35): price, quantity and trigger of resting orders are modified."""
    limit = ticket(type="LIMIT", price="49000", quantity="2")
    stop = ticket(type="STOP_MARKET", trigger_price="51000")
    await trader.submit(limit)
    await trader.submit(stop)
    assert (await trader.modify(limit.client_order_id, price="49500", quantity="3")).reason == ""
    assert (await trader.modify(stop.client_order_id, trigger_price="51500")).reason == ""
    assert trader.events(limit.client_order_id)[-2:] == ["PENDING_UPDATE", "UPDATED"]
    found = {str(o.client_order_id): o for o in trader.cache.orders_open()}
    assert str(found[limit.client_order_id].price) == "49500.00"
    assert str(found[limit.client_order_id].quantity) == "3.000000"
    assert str(found[stop.client_order_id].trigger_price) == "51500.00"


async def test_tags_and_position(trader: Bench) -> None:
    """EX-15: tags go with the order; a position id that netting does not allow is denied."""
    tagged = ticket(type="LIMIT", price="49000", tags=["mine", "to watch"])
    await trader.submit(tagged)
    assert trader.cache.orders_open()[0].tags == ["mine", "to watch"]
    strange = ticket(position_id="MINE-1")
    await trader.submit(strange)
    assert trader.events(strange.client_order_id)[-1] == "DENIED"
    assert "NETTING" in trader.reason(strange.client_order_id)
