"""The live table of trading: what it makes of facts."""

from typing import Any

from rich.console import Console

from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import trader_pb2
from mesh.execution.v1.events_pb2 import TraderFact
from meshclient.cli.trade_board import TradeBoard
from meshclient.cli.trade_view import ORDERS, POSITIONS, TRADERS, TradeView
from meshclient.facts import Told
from unit.meshclient.trading_server import told

KIND = events.OrderEventType


def _order(number: int, kind: str, **more: Any) -> Told[Any]:
    event = events.OrderEvent(
        type=KIND.Value(f"ORDER_EVENT_TYPE_{kind}"),
        client_order_id="O-1",
        instrument_id="BTCUSDT.SIM",
        **more,
    )
    fact = TraderFact(order=event)
    return Told(told(number, fact), fact)


def _begun() -> Told[Any]:
    first = events.OrderInitialized(
        order_side=enums.ORDER_SIDE_BUY, order_type=enums.ORDER_TYPE_LIMIT, quantity="2"
    )
    first.options.update({"price": "100"})
    return _order(1, "INITIALIZED", initialized=first)


def _position(number: int, side: str, pnl: str) -> Told[Any]:
    position = events.Position(
        trader_id="T-1",
        position_id="P-1",
        side=enums.PositionSide.Value(f"POSITION_SIDE_{side}"),
        quantity="2",
        avg_px_open=100.0,
        realized_pnl=Money(amount=pnl, currency="USD"),
    )
    fact = TraderFact(position=events.PositionEvent(position=position))
    return Told(told(number, fact), fact)


def _text(board: TradeBoard, sections: list[str], *, several: bool, room: int = 40) -> str:
    console = Console(width=140, no_color=True)
    with console.capture() as capture:
        console.print(TradeView("T-1", sections, several=several).picture(board, room))
    return capture.get()


def test_ex_204_an_order_through_its_events() -> None:
    """EX-204: an order is followed to its end; each fact counts once, and what matters is said."""
    board = TradeBoard()
    assert board.take(_begun()) is None
    board.take(_order(2, "SUBMITTED"))
    board.take(_order(3, "ACCEPTED"))
    board.take(_order(4, "PENDING_UPDATE"))
    board.take(_order(5, "UPDATED", updated=events.OrderUpdated(quantity="4", price="101")))
    (order,) = board.open_orders()
    assert (order.quantity, order.price) == ("4", "101")
    assert order.status == enums.ORDER_STATUS_ACCEPTED
    fill = events.OrderFilled(last_qty="1", last_px="100.5")
    note = board.take(_order(6, "FILLED", filled=fill))
    assert note is not None
    assert "BUY 4 BTCUSDT.SIM  filled 1 of 4 at 100.5" in note.text
    assert board.take(_order(6, "FILLED", filled=fill)) is None
    assert board.open_orders()[0].filled_qty == "1"
    assert "partially filled" in _text(board, [ORDERS], several=False)
    board.take(_order(7, "FILLED", filled=events.OrderFilled(last_qty="3", last_px="101")))
    assert not board.open_orders()
    assert board.orders["T-1", "O-1"].avg_px == (100.5 + 3 * 101) / 4


def test_ex_204_what_was_read_holds_what_is_told_later() -> None:
    """EX-204: facts up to the number that a read order has are not applied a second time."""
    board = TradeBoard()
    read = pb.Order(
        trader_id="T-1",
        client_order_id="O-1",
        status=enums.ORDER_STATUS_PARTIALLY_FILLED,
        quantity="2",
        filled_qty="1",
        fact_number=6,
    )
    board.load(orders=[read])
    assert board.take(_order(6, "FILLED", filled=events.OrderFilled(last_qty="1"))) is None
    board.take(_order(7, "CANCEL_REJECTED", reason="too late"))
    assert board.orders["T-1", "O-1"].filled_qty == "1"


def test_ex_204_positions_and_profit() -> None:
    """EX-204: P&L is summed by currency over open and closed positions, and shown with its sign."""
    board = TradeBoard()
    trader = trader_pb2.Trader(trader_id="T-1", state=trader_pb2.TRADER_STATE_RUNNING)
    board.load(traders=[trader])
    board.take(_position(1, "LONG", "-1.5"))
    marked = events.Position()
    marked.CopyFrom(board.open_positions()[0])
    marked.unrealized_pnl.CopyFrom(Money(amount="3", currency="USD"))
    board.load(positions=[marked])
    assert str(board.unrealised()["USD"]) == "3"
    shown = _text(board, [TRADERS, POSITIONS], several=True)
    for text in ("T-1", "● running", "long", "+3.00 USD", "-1.50 USD"):
        assert text in shown
    board.take(_position(2, "FLAT", "2"))
    assert not board.open_positions()
    assert not board.unrealised()
    assert str(board.realised("T-1")["USD"]) == "2"
    sandbox = trader_pb2.SandboxVenue(starting_balances=[Money(amount="100", currency="USD")])
    trader.spec.venues.add(venue="SIM", sandbox=sandbox)
    balance = events.AccountBalance(currency="USD", total="112.5")
    account = events.AccountState(trader_id="T-1", account_id="SIM-001", balances=[balance])
    board.load(traders=[trader], accounts=[account])
    assert str(board.realised()["USD"]) == "12.5"  # over all positions that ever were


def test_ex_204_states_failures_and_limits_are_said() -> None:
    """EX-204: a change of state, a failed strategy and a broken limit are lines of their own."""
    board = TradeBoard()
    trader = trader_pb2.Trader(
        trader_id="T-1",
        state=trader_pb2.TRADER_STATE_DEGRADED,
        reason="LEASE_LOST",
        message="no new orders",
    )
    facts = [
        TraderFact(trader=trader_pb2.TraderChanged(trader=trader)),
        TraderFact(trader=trader_pb2.TraderChanged(trader=trader)),
        TraderFact(
            failed=events.StrategyFailed(
                instance_id="EMA-1", file="ema.py", line=7, message="ValueError: no"
            )
        ),
        TraderFact(
            limit=events.LimitBroken(
                limit="max_daily_loss",
                bound="5 USD",
                value="6 USD",
                action=trader_pb2.LIMIT_ACTION_HALTED,
            )
        ),
        TraderFact(flatten=events.FlattenDone(flat=False)),
    ]
    notes = [board.take(Told(told(n, fact), fact)) for n, fact in enumerate(facts, 1)]
    assert [note.text if note else "" for note in notes] == [
        "T-1 degraded: LEASE_LOST no new orders",
        "",
        "EMA-1 raised at ema.py:7: ValueError: no",
        "T-1 max_daily_loss 5 USD broken by 6 USD: halted",
        "T-1 NOT FLAT",
    ]


def test_ex_204_a_low_window_counts_what_it_leaves_out() -> None:
    """EX-204: a picture is never higher than its room; what has no place in it is counted."""
    board = TradeBoard()
    for index in range(30):
        board.orders["T-1", f"O-{index}"] = pb.Order(
            trader_id="T-1", client_order_id=f"O-{index}", status=enums.ORDER_STATUS_ACCEPTED
        )
    board.take(_position(1, "SHORT", "0"))
    for room in (12, 20, 60):
        shown = _text(board, [POSITIONS, ORDERS], several=False, room=room)
        assert len(shown.splitlines()) <= room
        assert ("more orders" in shown) == (room < 60)
