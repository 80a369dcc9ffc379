"""What is done before a trader is told to stop: its strategies end, its orders and positions go."""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.execution.v1 import order_pb2
from mesh.execution.v1 import trader_pb2 as pb
from meshkit.context import caller
from services.live_execution import commanding
from services.live_execution.domain import Trader


async def settle(
    tx: Any, trader: Trader, seconds: float, *, cancel: bool, close: bool
) -> list[str]:
    """Send what cancels the orders and closes the positions of a trader that shall stop.

    Returns the ids of the commands, none when nothing was asked for or no process is there. They
    are carried out within ``seconds`` or not at all: not by a later start.
    """
    if not (cancel or close) or not trader.pid:
        return []
    expires = Timestamp()
    expires.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    sent = []
    for kind, command in _commands(trader, cancel=cancel, close=close):
        row = await commanding.put(
            tx, trader.key, kind, command, submitter=caller().subject, expires=expires
        )
        sent.append(row.command_id)
    return sent


def _commands(
    trader: Trader, *, cancel: bool, close: bool
) -> list[tuple[str, order_pb2.TraderCommand]]:
    """Return the commands in order: strategies first, or they would trade on."""
    strategies = pb.TraderSpec.FromString(trader.spec).strategies
    commands = [
        (
            "STOP_STRATEGY",
            order_pb2.TraderCommand(
                strategy=order_pb2.StrategyCommand(
                    action=order_pb2.STRATEGY_ACTION_STOP,
                    order_id_tag=strategy.order_id_tag,
                    cancel_orders=cancel,
                    close_positions=close,
                )
            ),
        )
        for strategy in strategies
        if not strategy.stopped
    ]
    if cancel:
        every = order_pb2.TraderCommand(cancel_all=order_pb2.CancelAllCommand())
        commands.append(("CANCEL_ALL", every))
    if close:
        every = order_pb2.TraderCommand(close=order_pb2.CloseCommand())
        commands.append(("CLOSE_ALL", every))
    return commands
