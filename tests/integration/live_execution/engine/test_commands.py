"""EX-25 to EX-31: commands are carried out once, and refused with a reason that says what to do."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from integration.live_execution.engine.bench import BTC, Bench, ticket
from integration.live_execution.engine.conftest import Trading
from mesh.execution.v1 import order_pb2 as pb

BAD: list[tuple[dict[str, Any], str]] = [
    ({"quantity": "0.0000001"}, "quantity is off the increment 0.000001"),
    ({"quantity": "0"}, "quantity must be above 0"),
    ({"type": "LIMIT"}, "price is required for LIMIT"),
    ({"type": "LIMIT", "price": "49000.001"}, "off the increment 0.01; the nearest are 49000.00"),
    ({"price": "1"}, "price is not for MARKET"),
    ({"post_only": True}, "post_only is not for MARKET"),
    ({"type": "STOP_MARKET"}, "trigger_price is required for STOP_MARKET"),
    ({"type": "TRAILING_STOP_MARKET"}, "trailing_offset is required"),
    ({"type": "LIMIT", "price": "1", "time_in_force": "GTD"}, "expire_time is required for GTD"),
    ({"time_in_force": "GTD", "expire_time": Timestamp(seconds=1)}, "GTD is not for MARKET"),
    ({"expire_time": Timestamp(seconds=1)}, "expire_time is for GTD"),
    ({"type": "STOP_MARKET", "trigger_price": "1", "time_in_force": "AT_THE_OPEN"}, "AT_THE_OPEN"),
    ({"type": "LIMIT", "price": "1", "display_qty": "2"}, "display_qty must not be more"),
    ({"type": "LIMIT", "price": "1", "post_only": True, "time_in_force": "IOC"}, "contradicts IOC"),
    ({"emulation_trigger": "DEFAULT"}, "emulation_trigger is not for MARKET"),
    (
        {"type": "LIMIT", "price": "1", "emulation_trigger": "MARK_PRICE"},
        "must be DEFAULT, BID_ASK or LAST_PRICE",
    ),
    ({"linked_order_ids": ["X"]}, "belongs to an order list"),
    ({"instrument_id": "BTCUSDT"}, "must be a symbol, a dot and a venue"),
    ({"instrument_id": "BTCUSDT.BYBIT"}, "the trader's venues are BINANCE"),
    ({"position_id": "Ж"}, "position_id must be ASCII"),
    ({"exec_algorithm_id": "TWAP"}, "is no execution algorithm of the trader"),
    ({"quantity": "99999999999999"}, "must not be above"),
]


async def test_bad_orders(trader: Bench) -> None:
    """EX-25: an order that breaks a rule of its type or instrument names the field and the rule."""
    for plan, text in BAD:
        taken = await trader.submit(ticket(**plan))
        assert taken.reason == "ORDER_INVALID", plan
        assert text in taken.message, plan
    taken = await trader.submit(ticket(instrument_id="NOSUCH.BINANCE"))
    assert taken.reason == "INSTRUMENT_NOT_FOUND"
    assert not trader.cache.orders()


async def test_bad_changes(trader: Bench) -> None:
    """EX-26: what cannot be modified, cancelled or closed is refused with its reason."""
    assert (await trader.modify("NONE", price="1")).reason == "ORDER_NOT_FOUND"
    assert (await trader.cancel("NONE")).reason == "ORDER_NOT_FOUND"
    done, resting = ticket(), ticket(type="LIMIT", price="49000")
    await trader.submit(done)
    await trader.submit(resting)
    assert (await trader.modify(done.client_order_id, quantity="2")).reason == "ORDER_CLOSED"
    assert (await trader.cancel(done.client_order_id)).reason == "ORDER_CLOSED"
    for changes in ({"price": "1.001"}, {"trigger_price": "5"}, {"price": "49000"}, {}):
        taken = await trader.modify(resting.client_order_id, **changes)
        assert taken.reason == "ORDER_INVALID", changes
    close = pb.TraderCommand(close=pb.CloseCommand(position_id="NONE"))
    assert (await trader.command(close)).reason == "POSITION_NOT_FOUND"


async def test_once(trader: Bench) -> None:
    """EX-27: a command that comes again, or an id in another command, sends nothing twice."""
    order = ticket()
    command = pb.TraderCommand(submit=pb.SubmitCommand(orders=[order]))
    await trader.command(command)
    trader.outside.send(command)
    again = await trader.submit(order)
    assert (again.reason, list(again.client_order_ids)) == ("", [order.client_order_id])
    assert trader.events(order.client_order_id).count("SUBMITTED") == 1
    assert trader.net() == "1.000000"


async def test_late(trader: Bench) -> None:
    """EX-28: an order whose time to be taken is over is not sent; a cancel still is."""
    past = Timestamp(seconds=1)
    submit = pb.SubmitCommand(orders=[ticket()])
    taken = await trader.command(pb.TraderCommand(submit=submit, expire_time=past))
    assert taken.reason == "COMMAND_EXPIRED"
    everything = pb.CancelAllCommand()
    taken = await trader.command(pb.TraderCommand(cancel_all=everything, expire_time=past))
    assert taken.reason == ""


async def test_cancel_all(trader: Bench) -> None:
    """EX-29 (TC-E36 to E38): what fits is cancelled, at the venue and in the emulator."""
    buys = [ticket(type="LIMIT", price=price) for price in ("49000", "48000")]
    sells = [ticket(type="LIMIT", side="SELL", price="52000")]
    held = [ticket(type="LIMIT", price="47000", emulation_trigger="DEFAULT")]
    for order in (*buys, *sells, *held):
        await trader.submit(order)
    side = pb.CancelAllCommand(side=buys[0].side, instrument_id=BTC)
    taken = await trader.command(pb.TraderCommand(cancel_all=side))
    assert set(taken.client_order_ids) == {o.client_order_id for o in (*buys, *held)}
    assert len(trader.cache.orders_open()) == 1
    taken = await trader.command(pb.TraderCommand(cancel_all=pb.CancelAllCommand()))
    assert list(taken.client_order_ids) == [sells[0].client_order_id]
    assert not trader.cache.orders_open()


async def test_close(trader: Bench) -> None:
    """EX-30: closing by hand makes one reduce-only order a position, marked as ours."""
    await trader.submit(ticket(quantity="3"))
    close = pb.TraderCommand(close=pb.CloseCommand(instrument_id=BTC))
    taken = await trader.command(close)
    assert len(taken.client_order_ids) == 1
    made = trader.cache.orders_closed()[-1]
    assert float(trader.net()) == 0
    closing = next(o for o in trader.cache.orders() if o.is_reduce_only)
    assert (closing.tags, str(closing.quantity)) == (["mesh:manual"], "3.000000")
    assert made.is_closed
    assert not (await trader.command(pb.TraderCommand(close=pb.CloseCommand()))).client_order_ids


async def test_sent_by_a_successor(run_trader: Trading, monkeypatch: pytest.MonkeyPatch) -> None:
    """EX-31: an order made by a process that died before it sent it is sent by its successor."""
    order = ticket()
    async with run_trader() as first:
        # It dies between the order's first event and the risk engine.
        monkeypatch.setattr(type(first.trader.desk), "_send", lambda *_: None)
        instrument = first.instrument
        first.trader.desk.send(first.trader.desk.maker.order(order, instrument, 1))
        assert first.events(order.client_order_id) == ["INITIALIZED"]
    monkeypatch.undo()
    async with run_trader() as second:
        await second.submit(order)
        assert second.events(order.client_order_id)[-1] == "FILLED"
        assert second.events(order.client_order_id).count("SUBMITTED") == 1
