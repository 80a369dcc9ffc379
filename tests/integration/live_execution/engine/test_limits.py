"""EX-37 to EX-43: previews, limits on single orders, and limits that stop the trader."""

from integration.live_execution.engine.bench import BTC, Bench, ticket
from integration.live_execution.engine.conftest import Trading
from integration.live_execution.engine.test_gate import halt
from integration.live_execution.engine.test_lists import bracket
from integration.live_execution.engine.test_states import flattened
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.events_pb2 import LimitBroken, TraderFact

USDT = {"currency": "USDT"}


async def test_preview(run_trader: Trading) -> None:
    """EX-37: a preview tells verdict, price, notional, commission and free balance."""
    async with run_trader(account="CASH") as trader:
        fits = await trader.preview(ticket())
        assert fits.passes
        assert (fits.price, fits.notional.amount) == ("50001.00", "50001.00000000")
        assert (fits.commission.amount, fits.free.amount) == ("50.00100000", "100000.00000000")
        assert not fits.HasField("margin_init")
        too_much = await trader.preview(ticket(quantity="3"))
        assert not too_much.passes
        assert "EXCEEDS_FREE_BALANCE" in too_much.reason
        trader.outside.halt(halt("all"))
        assert (await trader.preview(ticket())).reason.startswith("TRADER_HALTED")
        assert not trader.cache.orders()


async def test_preview_of_a_margin_account(trader: Bench) -> None:
    """EX-38: with margin the preview tells the initial margin; a known id does not pass."""
    told = await trader.preview(ticket(type="LIMIT", price="49000"))
    assert told.passes
    assert told.price == "49000.00"
    assert told.HasField("margin_init")
    order = ticket()
    await trader.submit(order)
    assert "is taken" in (await trader.preview(order)).reason


async def denied(trader: Bench, **plan: object) -> str:
    """Submit an order and return why it was denied; empty when it was not."""
    order = ticket(**plan)
    await trader.submit(order)
    found = trader.events(order.client_order_id)[-1] == "DENIED"
    return trader.reason(order.client_order_id) if found else ""


async def test_notional(run_trader: Trading) -> None:
    """EX-39: an order above max_notional_per_order is denied, at margin accounts too."""
    async with run_trader(risk={"maxNotionalPerOrder": {"*": "60000"}}) as trader:
        assert "max_notional_per_order" in await denied(trader, quantity="2")
        assert await denied(trader, quantity="1") == ""
        assert not (await trader.preview(ticket(quantity="2"))).passes
        resting = ticket(type="LIMIT", price="49000")
        await trader.submit(resting)
        await trader.modify(resting.client_order_id, quantity="2")
        assert trader.events(resting.client_order_id)[-1] == "MODIFY_REJECTED"


async def test_position(run_trader: Trading) -> None:
    """EX-40: an order that could lead past max_position is denied; one that reduces is not."""
    async with run_trader(risk={"maxPosition": {BTC: "2"}}) as trader:
        assert await denied(trader, quantity="1.5") == ""
        assert await denied(trader, type="LIMIT", price="49000", quantity="0.5") == ""
        assert "max_position" in await denied(trader, quantity="0.1")
        resting = trader.cache.orders_open()[0].client_order_id.value
        await trader.modify(resting, quantity="0.6")
        assert trader.events(resting)[-1] == "MODIFY_REJECTED"
        assert await denied(trader, side="SELL", quantity="1.5") == ""
        assert "max_position" in await denied(trader, side="SELL", quantity="2.1")


async def test_lists_and_prices(run_trader: Trading) -> None:
    """EX-40: orders of a list count together, and another price is another order."""
    risk = {"maxPosition": {BTC: "2"}, "maxNotionalPerOrder": {"*": "80000"}}
    async with run_trader(risk=risk) as trader:
        pair = [ticket(type="LIMIT", price="49000", quantity="1.5") for _ in range(2)]
        await trader.submit(*pair, list_id="L-1")
        assert {trader.events(each.client_order_id)[-1] for each in pair} == {"DENIED"}
        children = bracket(quantity="1")
        await trader.submit(*children, list_id="L-2")
        assert trader.events(children[0].client_order_id)[-1] == "FILLED"
        huge = bracket(quantity="0.1")
        huge[1].quantity, huge[1].reduce_only = "9", False
        await trader.submit(*huge, list_id="L-3")
        assert trader.events(huge[0].client_order_id)[-1] == "DENIED"
        cheap = ticket(type="LIMIT", price="10000", quantity="1")
        await trader.submit(cheap)
        await trader.modify(cheap.client_order_id, price="90000")
        assert trader.events(cheap.client_order_id)[-1] == "MODIFY_REJECTED"


async def test_flatten_past_the_rate(run_trader: Trading) -> None:
    """EX-41: what makes a trader flat does not wait behind the rate of what it stops."""
    rate = {"limit": 2, "interval": "3600s"}
    async with run_trader(risk={"maxOrderSubmitRate": rate}) as trader:
        for _ in range(3):
            await trader.submit(ticket(quantity="0.1"))
        trader.outside.halt(halt("all", flatten="F-1"))
        done = await trader.outside.until(lambda facts: flattened(facts, 1))
        assert done.flat
        assert float(trader.net()) == 0


async def test_rate(run_trader: Trading) -> None:
    """EX-41: what is above the rate of submissions is denied by the risk engine."""
    rate = {"limit": 2, "interval": "3600s"}
    async with run_trader(risk={"maxOrderSubmitRate": rate}) as trader:
        found = [await denied(trader, quantity="0.1") for _ in range(3)]
        assert found[:2] == ["", ""]
        assert "MAX_ORDER_SUBMIT_RATE" in found[2]


async def test_exposure(run_trader: Trading) -> None:
    """EX-42: orders past the gross exposure are denied; when prices pass it, only reducing goes."""
    risk = {"maxGrossExposure": {"amount": "120000", **USDT}}
    async with run_trader(risk=risk) as trader:
        assert await denied(trader, quantity="2") == ""
        assert "max_gross_exposure" in await denied(trader, quantity="1")
        await trader.quote(61000, 61001)
        broken = await trader.outside.until(broken_limit)
        assert (broken.limit, broken.bound, broken.action) == (
            *("max_gross_exposure", "120000"),
            pb.LIMIT_ACTION_REDUCING,
        )
        told = await trader.state(pb.TRADER_STATE_DEGRADED)
        assert told.reason == "LIMIT_BROKEN"
        assert await denied(trader, quantity="0.1") != ""
        assert await denied(trader, side="SELL", quantity="0.5") == ""


async def test_daily_loss(run_trader: Trading) -> None:
    """EX-43: a day's loss, over restarts too, halts the trader until its halt is reset."""
    risk = {"maxDailyLoss": {"amount": "1000", **USDT}, "action": "LIMIT_ACTION_HALTED"}
    async with run_trader(risk=risk) as trader:
        await trader.submit(ticket())
        await trader.quote(49500, 49501)
        await trader.submit(ticket(side="SELL"))  # 501 and commissions are lost
        assert not [f for f in trader.outside.facts if f.HasField("limit")]
    async with run_trader(risk=risk) as trader:
        await trader.submit(ticket())
        await trader.quote(49100, 49101)
        broken = await trader.outside.until(broken_limit)
        assert (broken.limit, broken.action) == ("max_daily_loss", pb.LIMIT_ACTION_HALTED)
        assert "HALTED" in await denied(trader, side="SELL", quantity="0.5")
        trader.trader.safety.close(trader.cache.positions_open()[0], "a flatten")
        await trader.quiet()
        assert float(trader.net()) == 0
        trader.outside.halt(halt("trader:T-001"))
        trader.outside.halt()
        assert not trader.trader.limits.broken


def broken_limit(facts: list[TraderFact]) -> LimitBroken | None:
    """Return the first broken limit."""
    return next((f.limit for f in facts if f.HasField("limit")), None)
