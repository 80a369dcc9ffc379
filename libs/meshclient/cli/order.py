"""``meshctl order``: orders by hand, and what became of all orders."""

from collections.abc import Sequence
from typing import Annotated

import typer

from mesh.execution.v1 import order_service_pb2 as rpc
from meshclient.cli.base import Shell, command
from meshclient.cli.order_options import (
    Activation,
    Display,
    Emulate,
    Expires,
    LimitOffset,
    OrderId,
    PostOnly,
    Price,
    Quantity,
    QuoteQuantity,
    ReduceOnly,
    Side,
    Tags,
    Tif,
    Trailing,
    TrailingType,
    Trigger,
    TriggerType,
    Type,
    fields_of,
)
from meshclient.cli.order_view import (
    account_rows,
    order_rows,
    position_rows,
    show_command,
    show_preview,
    show_submitted,
)
from meshclient.errors import UsageError
from meshclient.orders import WAIT_SECONDS

app = typer.Typer(no_args_is_help=True, help="Orders by hand, and the orders of all traders.")

TraderId = Annotated[str, typer.Argument(help="Trader id.", metavar="TRADER")]
Instrument = Annotated[
    str, typer.Argument(help="Instrument id, such as BTCUSDT.BINANCE.", metavar="INSTRUMENT")
]
ClientOrderId = Annotated[str, typer.Argument(help="Client order id.", metavar="ORDER")]
OfTrader = Annotated[
    str, typer.Argument(help="Only of this trader.", metavar="TRADER", show_default=False)
]
OfInstrument = Annotated[str, typer.Option("--instrument", help="Only of this instrument.")]
OfStrategy = Annotated[
    str, typer.Option("--strategy", help="Only of this strategy, such as EMACross-001.")
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


@command(app, "submit")
async def submit(
    shell: Shell,
    trader_id: TraderId,
    instrument_id: Instrument,
    side: Side,
    quantity: Quantity,
    price: Price = "",
    trigger: Trigger = "",
    type_: Type = "",
    tif: Tif = "",
    expires: Expires = "",
    post_only: PostOnly = False,
    reduce_only: ReduceOnly = False,
    quote_quantity: QuoteQuantity = False,
    display: Display = "",
    emulate: Emulate = "",
    trigger_type: TriggerType = "",
    trailing: Trailing = "",
    trailing_type: TrailingType = "",
    limit_offset: LimitOffset = "",
    activation: Activation = "",
    order_id: OrderId = "",
    tag: Tags = None,
    stop: Annotated[str, typer.Option(help="With --target: a bracket's stop loss.")] = "",
    target: Annotated[str, typer.Option(help="With --stop: a bracket's take profit.")] = "",
    wait: Annotated[
        str, typer.Option(help="For: none, submitted, accepted or terminal.")
    ] = "accepted",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=30, help="Wait at most so many seconds.")
    ] = WAIT_SECONDS,
) -> None:
    """Submit an order; without a price it is MARKET, with --trigger a stop, with --stop and
    --target a bracket.

    The same --id again never makes a second order.
    """
    fields = fields_of(
        price, trigger, type_, tif, expires, post_only, reduce_only, quote_quantity, display,
        emulate, trigger_type, trailing, trailing_type, limit_offset, activation, order_id, tag,
    )  # fmt: skip # one line a field would be a page
    if bool(stop) != bool(target):
        raise UsageError("A bracket has both --stop and --target.")
    fields |= {"wait": "" if wait == "none" else wait, "wait_seconds": seconds}
    orders = shell.mesh.orders
    if stop:
        many = await orders.bracket(
            trader_id, instrument_id, side, quantity, stop=stop, target=target, **fields
        )
        show_submitted(shell, many, many.orders)
    else:
        one = await orders.submit(trader_id, instrument_id, side, quantity, **fields)
        show_submitted(shell, one, [one.order] if one.HasField("order") else [])


@command(app, "preview")
async def preview(
    shell: Shell,
    trader_id: TraderId,
    instrument_id: Instrument,
    side: Side,
    quantity: Quantity,
    price: Price = "",
    trigger: Trigger = "",
    type_: Type = "",
    tif: Tif = "",
    post_only: PostOnly = False,
    reduce_only: ReduceOnly = False,
) -> None:
    """Say what would become of an order: verdict, notional, commission, margin. Sends nothing."""
    fields = fields_of(price, trigger, type_, tif, "", post_only, reduce_only)
    found = await shell.mesh.orders.preview(trader_id, instrument_id, side, quantity, **fields)
    show_preview(shell.out, found)


@command(app, "list")
async def list_(
    shell: Shell,
    trader_id: OfTrader = "",
    instrument: OfInstrument = "",
    strategy: OfStrategy = "",
    status: Annotated[list[str] | None, typer.Option(help="Only in this status.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Only those at work.")] = False,
    source: Annotated[
        str, typer.Option(help="Only by: strategy, manual, external or safety.")
    ] = "",
    limit: Limit = 50,
) -> None:
    """List orders, the newest first."""
    found = await shell.mesh.orders.list(
        trader_id,
        instrument_id=instrument,
        strategy_id=strategy,
        statuses=status or [],
        open_only=open_,
        source=source,
        limit=limit,
    )
    if shell.out.as_json:
        shell.out.json(found)
        return
    _table(shell, *order_rows(found, several=not trader_id), "No orders.")


@command(app, "get")
async def get(shell: Shell, trader_id: TraderId, client_order_id: ClientOrderId) -> None:
    """Show an order."""
    found = await shell.mesh.orders.get(trader_id, client_order_id)
    show_submitted(shell, found, [found])


@command(app, "modify")
async def modify(
    shell: Shell,
    trader_id: TraderId,
    client_order_id: ClientOrderId,
    quantity: Annotated[str, typer.Option(help="New quantity.")] = "",
    price: Annotated[str, typer.Option(help="New price.")] = "",
    trigger: Annotated[str, typer.Option(help="New trigger price.")] = "",
) -> None:
    """Change quantity, price or trigger price of an open order."""
    if not (quantity or price or trigger):
        raise UsageError("Name what is new: --quantity, --price or --trigger.")
    sent = await shell.mesh.orders.modify(
        trader_id, client_order_id, quantity=quantity, price=price, trigger_price=trigger
    )
    show_command(shell.out, sent)


@command(app, "cancel")
async def cancel(
    shell: Shell,
    trader_id: TraderId,
    order: Annotated[
        list[str] | None, typer.Argument(help="Client order ids.", metavar="ORDER")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every open order that fits.")] = False,
    instrument: OfInstrument = "",
    strategy: OfStrategy = "",
    side: Annotated[str, typer.Option(help="With --all: buy or sell.")] = "",
) -> None:
    """Cancel orders by id, or all that fit."""
    if bool(order) == all_:
        raise UsageError("Name orders, or --all.")
    orders = shell.mesh.orders
    if not order:
        sent = await orders.cancel_all(
            trader_id, instrument_id=instrument, strategy_id=strategy, side=side
        )
    elif len(order) == 1:
        sent = await orders.cancel(trader_id, order[0])
    else:
        _batch(shell, await orders.cancel_many(trader_id, order))
        return
    show_command(shell.out, sent)


def _batch(shell: Shell, reply: rpc.BatchCancelOrdersResponse) -> None:
    if shell.out.as_json:
        shell.out.json(reply)
        return
    rows = [(each.client_order_id, each.reason or "on its way") for each in reply.items]
    shell.out.table(["order", "cancel"], rows, whole=["order"])


@command(app, "close")
async def close(
    shell: Shell,
    trader_id: TraderId,
    position: Annotated[
        str, typer.Argument(help="Position id.", metavar="POSITION", show_default=False)
    ] = "",
    all_: Annotated[bool, typer.Option("--all", help="Every open position that fits.")] = False,
    instrument: OfInstrument = "",
    strategy: OfStrategy = "",
) -> None:
    """Close a position at the market, or all that fit."""
    if bool(position) == all_:
        raise UsageError("Name a position, or --all.")
    orders = shell.mesh.orders
    if position:
        sent = await orders.close(trader_id, position)
    else:
        sent = await orders.close_all(trader_id, instrument_id=instrument, strategy_id=strategy)
    show_command(shell.out, sent)


@command(app, "positions")
async def positions(
    shell: Shell,
    trader_id: OfTrader = "",
    instrument: OfInstrument = "",
    every: Annotated[bool, typer.Option("--every", help="Closed ones as well.")] = False,
    limit: Limit = 50,
) -> None:
    """List the open positions, the newest first."""
    found = await shell.mesh.orders.positions(
        trader_id, instrument_id=instrument, open_only=not every, limit=limit
    )
    if shell.out.as_json:
        shell.out.json(found)
        return
    _table(shell, *position_rows(found, several=not trader_id), "No open positions.")


@command(app, "accounts")
async def accounts(shell: Shell, trader_id: OfTrader = "") -> None:
    """List accounts with their balances and margins."""
    found = await shell.mesh.orders.accounts(trader_id)
    if shell.out.as_json:
        shell.out.json(found)
        return
    _table(shell, *account_rows(found, several=not trader_id), "No accounts yet.")


@command(app, "command")
async def command_(
    shell: Shell, command_id: Annotated[str, typer.Argument(metavar="COMMAND")]
) -> None:
    """Show whether a trader has taken a command."""
    show_command(shell.out, await shell.mesh.orders.command(command_id))


def _table(
    shell: Shell, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str
) -> None:
    right = [c for c in columns if c in _NUMBERS]
    shell.out.table(columns, rows, right=right, whole=_WHOLE, empty=empty, drop=_DROP)


_WHOLE = ("trader", "order", "position", "account", "instrument", "side", "time (UTC)")
_DROP = (
    *("by", "since (UTC)", "average", "time (UTC)", "closed at", "type", "margin", "locked"),
    *("open at", "filled", "realised", "price"),
)
_NUMBERS = (
    *("quantity", "filled", "price", "average", "open at", "closed at", "realised", "unrealised"),
    *("total", "free", "locked", "margin"),
)
