"""Orders, positions, accounts and commands in rows and words."""

from collections.abc import Iterable, Sequence
from typing import Any

from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from meshclient import words
from meshclient.cli.base import Shell
from meshclient.cli.output import Output, moment

type Rows = tuple[Sequence[str], Sequence[Sequence[object]]]


def word(kind: Any, number: int) -> str:
    """Return an enum's value as people write it: ``stop market``."""
    return words.name(kind, number).lower().replace("_", " ")


def price_text(value: float, digits: int = 9) -> str:
    """Return a price that Nautilus computes in doubles, without their noise; empty for 0."""
    return f"{value:.{digits}g}" if value else ""


def money_text(*values: Money) -> str:
    """Return amounts with their currencies; the zeros that say nothing are left out."""
    return " ".join(f"{each.amount} {each.currency}" for each in values if each.currency)


def status_text(order: pb.Order) -> str:
    """Return the status of an order, and whether it is not known."""
    status = word(enums.OrderStatus, order.status)
    return f"{status}, UNKNOWN" if order.unknown else status


def order_price(order: pb.Order) -> str:
    """Return the price and trigger price of an order."""
    trigger = f"at {order.trigger_price}" if order.trigger_price else ""
    return " ".join(filter(None, (order.price, trigger)))


def order_rows(orders: Iterable[pb.Order], *, several: bool) -> Rows:
    """Return columns and rows of orders; ``several`` traders make a column of their own."""
    columns = ["order", "instrument", "side", "type", "quantity", "filled", "price", "average"]
    columns += ["status", "by", "time (UTC)"]
    rows = [
        (
            each.client_order_id,
            each.instrument_id,
            word(enums.OrderSide, each.side),
            word(enums.OrderType, each.type),
            each.quantity,
            each.filled_qty,
            order_price(each),
            price_text(each.avg_px),
            ": ".join(filter(None, (status_text(each), each.reason))),
            each.submitter or each.strategy_id,
            moment(each.ts_last)[5:16],
        )
        for each in orders
    ]
    return _with_trader(columns, rows, [each.trader_id for each in orders], several)


def position_rows(positions: Iterable[events.Position], *, several: bool) -> Rows:
    """Return columns and rows of positions."""
    columns = ["position", "side", "quantity", "open at", "closed at", "realised", "unrealised"]
    columns += ["since (UTC)"]
    rows = [
        (
            each.position_id,
            word(enums.PositionSide, each.side),
            each.quantity,
            price_text(each.avg_px_open),
            price_text(each.avg_px_close),
            money_text(each.realized_pnl),
            money_text(each.unrealized_pnl) if not each.HasField("ts_closed") else "",
            moment(each.ts_opened)[5:16],
        )
        for each in positions
    ]
    return _with_trader(columns, rows, [each.trader_id for each in positions], several)


def account_rows(accounts: Iterable[events.AccountState], *, several: bool) -> Rows:
    """Return columns and rows of accounts, a line for each currency."""
    columns = ["account", "type", "currency", "total", "free", "locked", "margin"]
    rows, traders = [], []
    for account in accounts:
        for balance in account.balances:
            margins = [m.initial for m in account.margins if m.currency == balance.currency]
            rows.append(
                (
                    account.account_id,
                    word(enums.AccountType, account.account_type),
                    balance.currency,
                    balance.total,
                    balance.free,
                    balance.locked,
                    " + ".join(margins),
                )
            )
            traders.append(account.trader_id)
    return _with_trader(columns, rows, traders, several)


def _with_trader(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    traders: Sequence[str],
    several: bool,
) -> Rows:
    if not several:
        return columns, rows
    return ["trader", *columns], [(t, *row) for t, row in zip(traders, rows, strict=True)]


def show_command(out: Output, command: pb.Command) -> None:
    """Print a command."""
    if out.as_json:
        out.json(command)
        return
    told = " ".join(filter(None, (command.reason, command.message)))
    kind = command.kind.lower().replace("_", " ")
    ids = " ".join(command.client_order_ids)
    out.say(f"{kind} {word(pb.CommandState, command.state)}  {ids}".rstrip())
    if told:
        out.say(told)
    out.note(f"command {command.command_id}")


def show_submitted(shell: Shell, reply: Any, orders: Sequence[pb.Order]) -> None:
    """Print what is known of submitted orders; an outcome that is not known is said first."""
    if shell.out.as_json:
        shell.out.json(reply)
        return
    if not isinstance(reply, pb.Order) and reply.outcome == rpc.OUTCOME_UNKNOWN:
        shell.out.say("UNKNOWN: the outcome has not come in time; the order may be at the venue.")
        ids = " ".join(reply.command.client_order_ids)
        shell.out.note(f"look: meshctl order get {reply.command.trader_id} {ids}")
    if not orders:
        show_command(shell.out, reply.command)
        return
    columns, rows = order_rows(orders, several=False)
    if len(rows) > 1:
        shell.out.table(columns, rows, whole=["order"])
        return
    shell.out.fields([*zip(columns, rows[0], strict=True), *_details(orders[0])])


def _details(order: pb.Order) -> Sequence[tuple[str, object]]:
    return [
        ("venue id", order.venue_order_id),
        ("commission", money_text(*order.commissions)),
        ("list", order.order_list_id),
        ("tags", " ".join(order.tags)),
    ]


def show_preview(out: Output, found: rpc.PreviewOrderResponse) -> None:
    """Print what would become of an order."""
    if out.as_json:
        out.json(found)
        return
    verdict = "passes" if found.passes else f"DENIED: {found.reason}"
    out.fields(
        [
            ("verdict", verdict),
            ("price", found.price),
            ("notional", money_text(found.notional)),
            ("commission", money_text(found.commission)),
            ("initial margin", money_text(found.margin_init)),
            ("free", money_text(found.free)),
        ]
    )
