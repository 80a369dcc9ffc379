"""An order book as a ladder: asks above, bids below, the spread between them. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from meshclient.cli.output import moment

_BAR = 24  # signs of the longest bar
_EIGHTHS = " ▏▎▍▌▋▊▉"


def ladder(title: str, reply: rpc.GetOrderBookResponse) -> RenderableType:
    """Return the picture of a book: price, size, and the size heaped up from the best price."""
    asks, bids = heaped(reply.order_book.asks), heaped(reply.order_book.bids)
    decimals = max((_decimals(level.price) for level, _ in [*asks, *bids]), default=0)
    most = max((heap for _, heap in [*asks, *bids]), default=Decimal(1)) or Decimal(1)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("price", "size", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for level, heap in reversed(asks):
        table.add_row(*_cells(level, heap, most, decimals, "red"))
    table.add_row(Text(_spread(reply), style="dim"))
    for level, heap in bids:
        table.add_row(*_cells(level, heap, most, decimals, "green"))
    head = Text.assemble((title, "bold"), (f"   {moment(reply.event_time)}", "dim"))
    if reply.state == pb.ITEM_STATE_STALE:
        head.append("   stale: the book may be out of date", style="yellow")
    return Group(head, table)


def heaped(levels: Sequence[pb.BookLevel]) -> list[tuple[pb.BookLevel, Decimal]]:
    """Return each level with the size of it and all better ones."""
    total, made = Decimal(0), []
    for level in levels:
        total += Decimal(level.size or "0")
        made.append((level, total))
    return made


def bar(part: Decimal, whole: Decimal) -> str:
    """Return a bar of ``part`` in ``whole``, to an eighth of a sign."""
    eighths = int(part * _BAR * 8 / whole)  # the division last: it is what rounds
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _decimals(price: str) -> int:
    return len(price.partition(".")[2])


def _cells(
    level: pb.BookLevel, heap: Decimal, most: Decimal, decimals: int, colour: str
) -> Sequence[Text]:
    return (
        Text(f"{Decimal(level.price):.{decimals}f}", style=colour),
        Text(level.size),
        Text(f"{heap}", style="dim"),
        Text(bar(heap, most), style=f"dim {colour}"),
    )


def _spread(reply: rpc.GetOrderBookResponse) -> str:
    return f"↕ {reply.spread}" if reply.spread else "one side is empty"
