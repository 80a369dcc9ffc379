"""A board of trading as tables for the terminal."""

from collections.abc import Sequence
from decimal import Decimal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import trader_pb2
from meshclient.cli.board_view import data_time
from meshclient.cli.fitting import fitted, picked, widths_of
from meshclient.cli.order_view import order_price, price_text, status_text, word
from meshclient.cli.trade_board import TradeBoard, pnl_text
from meshclient.cli.trader_view import state_name

TRADERS, POSITIONS, ORDERS = "traders", "positions", "orders"
_AROUND = 4  # lines of a table beside its rows
_STATES = {
    trader_pb2.TRADER_STATE_RUNNING: ("●", "green"),
    trader_pb2.TRADER_STATE_DEGRADED: ("◌", "yellow"),
    trader_pb2.TRADER_STATE_HALTED: ("■", "bold red"),
    trader_pb2.TRADER_STATE_FAILED: ("✗", "red"),
    trader_pb2.TRADER_STATE_STOPPED: ("○", "dim"),
}
_DROP = ("balance", "type", "filled", "realised", "open at", "price", "orders", "positions")
_RIGHT = {
    "positions",
    "quantity",
    "filled",
    "open at",
    "price",
    "unrealised",
    "realised",
    "balance",
    "orders",
}


class TradeView:
    """Draws a board: a head, and one table for each of ``sections``."""

    def __init__(self, title: str, sections: Sequence[str], *, several: bool) -> None:
        self.title = title
        self.notice = ""
        """Said beside the title while it is not empty, such as that the connection is lost."""
        self._sections = sections
        self._several = several
        self._widths: dict[str, dict[str, int]] = {}

    def picture(self, board: TradeBoard, room: int, width: int = 100) -> RenderableType:
        """Return the picture in at most ``room`` lines of ``width`` signs; what finds no room is
        counted.
        """
        parts: list[RenderableType] = [self._head(board)]
        left = room - 2
        for index, section in enumerate(self._sections):
            rest = len(self._sections) - index - 1
            rows = self._rows(board, section)
            most = max(left - rest * (_AROUND + 1) - _AROUND, 1)
            shown = rows[: most if len(rows) <= most else max(most - 1, 1)]
            parts.append(self._table(section, shown, width))
            left -= len(shown) + _AROUND
            if len(rows) > len(shown):
                parts.append(Text(f"… {len(rows) - len(shown)} more {section}", style="dim"))
                left -= 1
        return Group(*parts)

    def _head(self, board: TradeBoard) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(self.title, style="bold")
        if not self._several:
            for trader in board.traders.values():
                head.append("   ").append_text(_state(trader))
        if board.data_times and not self._several:
            head.append(f"   data time {data_time(max(board.data_times.values()))}", style="dim")
        for name, sums in (("unrealised", board.unrealised()), ("realised", board.realised())):
            head.append(f"   {name} ", style="dim")
            head.append_text(_pnl(sums))
        if self.notice:
            head.append(f"   {self.notice}", style="yellow")
        return head

    def _rows(self, board: TradeBoard, section: str) -> list[list[Text]]:
        match section:
            case "traders":
                return [_trader(board, board.traders[name]) for name in sorted(board.traders)]
            case "positions":
                return [self._position(each) for each in board.open_positions()]
        return [self._order(each) for each in board.open_orders()]

    def _table(self, section: str, rows: list[list[Text]], width: int) -> RenderableType:
        columns = self._columns(section)
        widths = self._widths.setdefault(section, {})
        for name, size in widths_of(columns, rows).items():
            widths[name] = max(size, widths.get(name, 0))  # they only grow, so that nothing jumps
        kept = fitted(columns, widths, width, _DROP)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
        for name in kept:
            table.add_column(
                name,
                justify="right" if name in _RIGHT else "left",
                no_wrap=True,
                min_width=min(widths[name], width // len(kept)),
                overflow="ellipsis",
            )
        for row in picked(columns, rows, kept):
            table.add_row(*row)
        return table

    def _columns(self, section: str) -> list[str]:
        own = ["trader"] if self._several else []
        match section:
            case "traders":
                return [
                    "trader",
                    "state",
                    "positions",
                    "orders",
                    "realised",
                    "unrealised",
                    "balance",
                ]
            case "positions":
                names = ["position", "side", "quantity", "open at", "unrealised", "realised"]
                return [*own, *names]
        return [
            *own,
            "open order",
            "instrument",
            "side",
            "type",
            "quantity",
            "filled",
            "price",
            "status",
        ]

    def _position(self, each: events.Position) -> list[Text]:
        style = "green" if each.side == enums.POSITION_SIDE_LONG else "red"
        cells = [
            Text(each.position_id),
            Text(word(enums.PositionSide, each.side), style=style),
            Text(each.quantity),
            Text(price_text(each.avg_px_open)),
            _pnl(_sum(each.unrealized_pnl)),
            _pnl(_sum(each.realized_pnl)),
        ]
        return [Text(each.trader_id), *cells] if self._several else cells

    def _order(self, each: pb.Order) -> list[Text]:
        style = "green" if each.side == enums.ORDER_SIDE_BUY else "red"
        cells = [
            Text(each.client_order_id),
            Text(each.instrument_id),
            Text(word(enums.OrderSide, each.side), style=style),
            Text(word(enums.OrderType, each.type)),
            Text(each.quantity),
            Text(each.filled_qty),
            Text(order_price(each)),
            Text(status_text(each), style="red" if each.unknown else ""),
        ]
        return [Text(each.trader_id), *cells] if self._several else cells


def _trader(board: TradeBoard, trader: trader_pb2.Trader) -> list[Text]:
    name = trader.trader_id
    positions = [each for each in board.open_positions() if each.trader_id == name]
    orders = [each for each in board.open_orders() if each.trader_id == name]
    balances = " ".join(f"{v:,.2f} {c}" for c, v in sorted(board.balances(name).items()))
    return [
        Text(name),
        _state(trader),
        Text(str(len(positions) or "–")),
        Text(str(len(orders) or "–")),
        _pnl(board.realised(name)),
        _pnl(board.unrealised(name)),
        Text(balances or "–"),
    ]


def _state(trader: trader_pb2.Trader) -> Text:
    mark, style = _STATES.get(trader.state, ("…", "cyan"))
    text = f"{mark} {state_name(trader.state)}"
    if trader.replay_ended and trader.state == trader_pb2.TRADER_STATE_RUNNING:
        text += ", played"
    return Text(f"{text} {trader.reason}".rstrip(), style=style)


def _sum(money: object) -> dict[str, Decimal]:
    currency = getattr(money, "currency", "")
    return {currency: Decimal(getattr(money, "amount", "") or "0")} if currency else {}


def _pnl(sums: dict[str, Decimal]) -> Text:
    if not any(sums.values()):
        return Text(pnl_text(sums).replace("+", "") or "–", style="dim")
    return Text(pnl_text(sums), style="green" if min(sums.values()) >= 0 else "red")
