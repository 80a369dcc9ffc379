"""A flatten on the terminal: what is being closed, and at its end what is left."""

from types import TracebackType
from typing import Self

from mesh.execution.v1 import safety_pb2 as pb
from meshclient import words
from meshclient.cli.output import Output


class FlattenShow:
    """Says on stderr or stdout, a line for each trader that has ended. Use as a context manager."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is KeyboardInterrupt:
            self._out.note("stopped waiting; the flatten goes on")

    def take(self, flatten: pb.Flatten) -> None:
        """Take the flatten as it stands."""
        for each in flatten.traders:
            ended = each.state != pb.FLATTEN_STATE_RUNNING
            if ended and each.trader_id not in self._told:
                self._told.add(each.trader_id)
                self._out.note(f"{each.trader_id} {state_text(each.state)}")


def state_text(state: int) -> str:
    """Return ``FLAT``, ``NOT FLAT`` or ``RUNNING``."""
    return words.name(pb.FlattenState, state).replace("_", " ")


def show_flatten(out: Output, flatten: pb.Flatten) -> None:
    """Print a flatten with every instrument of every trader."""
    rows = [row for each in flatten.traders for row in _rows(each)]
    out.table(
        ["trader", "instrument", "cancelled", "closed", "orders left", "left", "because"],
        rows,
        right=["cancelled", "closed", "orders left", "left"],
        whole=["trader", "instrument"],
        empty="No trader is in its reach.",
    )
    style = {pb.FLATTEN_STATE_FLAT: "bold green", pb.FLATTEN_STATE_NOT_FLAT: "bold red"}
    out.console.print(state_text(flatten.state), style=style.get(flatten.state, "bold"))


def _rows(trader: pb.TraderFlatten) -> list[tuple[object, ...]]:
    """Return a line for each instrument, or one for the trader when it tells of none."""
    name = f"{trader.trader_id} (safety mode)" if trader.safety_mode else trader.trader_id
    because = f"{trader.reason} {trader.message}".strip()
    if not trader.results:
        return [(name, state_text(trader.state).lower(), "", "", "", "", because)]
    return [
        (
            name,
            each.instrument_id,
            each.orders_canceled,
            each.closed_qty,
            each.orders_left,
            each.left_qty,
            f"{each.reason} {each.message}".strip() or because,
        )
        for each in trader.results
    ]
