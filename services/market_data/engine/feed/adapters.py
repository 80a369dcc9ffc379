"""What single adapters need beside the general way."""

from collections.abc import Callable
from typing import Any


def mend(client: Any, on_reconnect: Callable[[], None]) -> None:
    """Mend a client before it connects.

    ``on_reconnect`` is called where an adapter can tell of one, before any data that comes
    after it.
    """
    added: frozenset[str] = frozenset()
    if type(client).__module__.startswith("nautilus_trader.adapters.binance."):
        from services.market_data.engine.feed.binance import mend as mend_binance

        added = mend_binance(client, on_reconnect)
    client.mesh_added = added


def added_to(client: Any) -> frozenset[str]:
    """Return the coroutines that a client has by being mended."""
    found: frozenset[str] = getattr(client, "mesh_added", frozenset())
    return found
