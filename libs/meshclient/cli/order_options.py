"""The options that say what an order is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from meshclient.errors import UsageError

Side = Annotated[str, typer.Argument(help="buy or sell.", metavar="SIDE")]
Quantity = Annotated[str, typer.Argument(help="Quantity.", metavar="QUANTITY")]
Price = Annotated[str, typer.Option(help="Limit price.", show_default=False)]
Trigger = Annotated[str, typer.Option(help="Trigger price of a stop.", show_default=False)]
Type = Annotated[
    str,
    typer.Option("--type", help="Such as market-to-limit; follows from the prices when left out."),
]
Tif = Annotated[str, typer.Option(help="Time in force: gtc, ioc, fok, day, …", show_default=False)]
Expires = Annotated[str, typer.Option(help="When it expires (GTD), UTC.", show_default=False)]
PostOnly = Annotated[bool, typer.Option("--post-only", help="Rejected rather than take.")]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Never opens a position.")]
QuoteQuantity = Annotated[
    bool, typer.Option("--quote-quantity", help="QUANTITY is in the quote currency.")
]
Display = Annotated[str, typer.Option(help="Shown quantity of an iceberg.", show_default=False)]
Emulate = Annotated[
    str, typer.Option(help="Held by the trader until bid-ask, last-price, …", show_default=False)
]
TriggerType = Annotated[
    str, typer.Option(help="Price that triggers: last-price, bid-ask, …", show_default=False)
]
Trailing = Annotated[str, typer.Option(help="Trailing offset.", show_default=False)]
TrailingType = Annotated[
    str, typer.Option(help="Of the offset: price, basis-points, ticks.", show_default=False)
]
LimitOffset = Annotated[
    str, typer.Option(help="Limit offset of a trailing stop limit.", show_default=False)
]
Activation = Annotated[
    str, typer.Option(help="Activation price of a trailing stop.", show_default=False)
]
OrderId = Annotated[
    str,
    typer.Option("--id", help="Client order id, to repeat safely; made when left out."),
]
Tags = Annotated[list[str] | None, typer.Option(help="Tag, for people and strategies.")]


def fields_of(
    price: str = "",
    trigger: str = "",
    type_: str = "",
    tif: str = "",
    expires: str = "",
    post_only: bool = False,
    reduce_only: bool = False,
    quote_quantity: bool = False,
    display: str = "",
    emulate: str = "",
    trigger_type: str = "",
    trailing: str = "",
    trailing_type: str = "",
    limit_offset: str = "",
    activation: str = "",
    order_id: str = "",
    tag: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the keywords of ``tickets.ticket`` that the options mean."""
    return {
        "price": price,
        "trigger_price": trigger,
        "type": type_,
        "time_in_force": tif,
        "expire_time": _time(expires),
        "post_only": post_only,
        "reduce_only": reduce_only,
        "quote_quantity": quote_quantity,
        "display_qty": display,
        "emulation_trigger": emulate,
        "trigger_type": trigger_type,
        "trailing_offset": trailing,
        "trailing_offset_type": trailing_type,
        "limit_offset": limit_offset,
        "activation_price": activation,
        "client_order_id": order_id,
        "tags": list(tag or ()),
    }


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--expires must be a time such as 2026-01-31T12:00, not '{text}'."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
