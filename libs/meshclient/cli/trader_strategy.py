"""``meshctl trader strategy``: the strategies of a trader, one by one."""

from typing import Annotated

import typer

from mesh.execution.v1 import order_pb2
from mesh.execution.v1 import trader_pb2 as pb
from meshclient.cli.base import Shell, command
from meshclient.cli.runs import setting
from meshclient.cli.trader import TraderId
from meshclient.cli.trader_view import show_trader

app = typer.Typer(no_args_is_help=True, help="Add, start, stop and remove strategies of a trader.")

Tag = Annotated[str, typer.Argument(help="Order id tag of the strategy.", metavar="TAG")]
CancelOrders = Annotated[
    bool, typer.Option("--cancel-orders", help="Cancel its open orders as well.")
]
ClosePositions = Annotated[
    bool, typer.Option("--close-positions", help="Close its positions as well.")
]


@command(app, "add")
async def add(
    shell: Shell,
    trader_id: TraderId,
    tag: Tag,
    strategy: Annotated[str, typer.Argument(help="Strategy id, or id@version.")],
    config: Annotated[
        list[str] | None, typer.Option("--set", help="Field of its config, NAME=VALUE.")
    ] = None,
    on_failure: Annotated[
        str, typer.Option(help="When it raises: cancel-orders, flatten or leave.")
    ] = "cancel-orders",
    stopped: Annotated[bool, typer.Option("--stopped", help="Do not start it.")] = False,
) -> None:
    """Add a strategy; in a trader that runs it starts at once."""
    strategy_id, _, version = strategy.partition("@")
    reply = await shell.mesh.traders.add_strategy(
        trader_id,
        {
            "order_id_tag": tag,
            "strategy_id": strategy_id,
            "version": version,
            "config": dict(setting(each) for each in config or []),
            "on_failure": on_failure,
            "stopped": stopped,
        },
    )
    _told(shell, reply.trader, reply.command)


@command(app, "start")
async def start(shell: Shell, trader_id: TraderId, tag: Tag) -> None:
    """Start a strategy that is stopped or has failed."""
    reply = await shell.mesh.traders.start_strategy(trader_id, tag)
    _told(shell, reply.trader, reply.command)


@command(app, "stop")
async def stop(
    shell: Shell,
    trader_id: TraderId,
    tag: Tag,
    cancel_orders: CancelOrders = False,
    close_positions: ClosePositions = False,
) -> None:
    """Stop a strategy alone; its state is saved."""
    reply = await shell.mesh.traders.stop_strategy(
        trader_id, tag, cancel_orders=cancel_orders, close_positions=close_positions
    )
    _told(shell, reply.trader, reply.command)


@command(app, "rm")
async def remove(
    shell: Shell,
    trader_id: TraderId,
    tag: Tag,
    cancel_orders: CancelOrders = False,
    close_positions: ClosePositions = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop a strategy and take it out of the trader."""
    shell.confirm(f"Remove strategy {tag} of {trader_id}?", yes)
    reply = await shell.mesh.traders.remove_strategy(
        trader_id, tag, cancel_orders=cancel_orders, close_positions=close_positions
    )
    _told(shell, reply.trader, reply.command)


def _told(shell: Shell, trader: pb.Trader, sent: order_pb2.Command) -> None:
    if shell.out.as_json:
        shell.out.json({"trader": trader, "command": sent if sent.command_id else None})
        return
    show_trader(shell.out, trader)
    if sent.command_id:
        shell.out.note(f"on its way to the trader: command {sent.command_id}")
