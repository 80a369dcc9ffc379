"""Reports of venues, each once.

Binance's adapter asks for a symbol under two names when an order of it has filled unseen, and gets
everything twice. Nautilus takes the doubled fills for a position that it does not know, and invents
an order against it.
"""

from collections.abc import Callable, Coroutine, Hashable
from typing import Any

type Reports = Callable[..., Coroutine[Any, Any, list[Any]]]


def without_doubles(client: Any) -> None:
    """Let an execution client report each fill and each order once."""
    keys: dict[str, Callable[[Any], Hashable]] = {
        "generate_fill_reports": _fill,
        "generate_order_status_reports": _order,
    }
    for name, key in keys.items():
        setattr(client, name, _once(getattr(client, name), key))


def _once(reports: Reports, key: Callable[[Any], Hashable]) -> Reports:
    async def once(*arguments: Any, **named: Any) -> list[Any]:
        found = await reports(*arguments, **named)
        return list({key(report): report for report in found}.values())

    return once


def _fill(report: Any) -> Hashable:
    return report.instrument_id, report.venue_order_id, report.trade_id


def _order(report: Any) -> Hashable:
    return report.instrument_id, report.venue_order_id
