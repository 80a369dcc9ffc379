"""Two nodes' caches and portfolios, as far as anybody can see them."""

from typing import Any

from nautilus_trader.model.events import OrderInitialized
from nautilus_trader.model.position import Position

State = dict[str, Any]

_UNTOLD = {"init_id", "activation_price", "position_id", "liquidity_side"}
"""What no event tells, and Nautilus lets nobody set: a released order's initialisation has a new
id; a simulated venue writes into its orders when a trailing stop was activated, and the side of
liquidity of what it then refuses; a child's position is tied in the cache's index, compared below.
"""


def state_of(kernel: Any, *, closed: bool = True) -> State:
    """Return what a kernel knows; without the closed orders and positions if not ``closed``."""
    cache = kernel.cache
    orders = [order for order in cache.orders() if closed or not order.is_closed]
    positions = [each for each in cache.positions() if closed or each.is_open]
    found: State = {
        "orders": {str(order.client_order_id): _order(cache, order) for order in orders},
        "positions": {str(each.id): _position(each) for each in positions},
        "lists": sorted(str(each.id) for each in cache.order_lists() if closed),
        "open": sorted(map(str, cache.client_order_ids_open())),
        "inflight": sorted(map(str, cache.client_order_ids_inflight())),
        "emulated": sorted(map(str, cache.client_order_ids_emulated())),
        "positions_open": sorted(map(str, cache.position_open_ids())),
        "strategies": sorted(map(str, cache.strategy_ids())),
        "accounts": {str(each.id): _account(each) for each in cache.accounts()},
        "position_counts": _counts(kernel),
    }
    if closed:
        found["closed"] = sorted(map(str, cache.client_order_ids_closed()))
        found["positions_closed"] = sorted(map(str, cache.position_closed_ids()))
        found["earlier"] = sorted(_earlier(each) for each in cache.position_snapshots())
    return found


def figures_of(kernel: Any, venue: Any) -> State:
    """Return what a portfolio computes; it is initialised as a node's start does it."""
    portfolio, cache = kernel.portfolio, kernel.cache
    portfolio.initialize_orders()
    portfolio.initialize_positions()
    ids = sorted(cache.instrument_ids(), key=str)
    return {
        "net": {str(each): portfolio.net_position(each) for each in ids},
        "realized": {str(each): str(portfolio.realized_pnl(each)) for each in ids},
        "unrealized": {str(each): str(portfolio.unrealized_pnl(each)) for each in ids},
        "realized_all": _moneys(portfolio.realized_pnls(venue)),
        "margins_init": _moneys(portfolio.margins_init(venue)),
        "margins_maint": _moneys(portfolio.margins_maint(venue)),
        "locked": _moneys(portfolio.balances_locked(venue)),
        "accounts": {str(each.id): _account(each) for each in cache.accounts()},
    }


def differences(one: State, other: State, path: str = "") -> list[str]:
    """Return where two states differ, the first twenty."""
    found: list[str] = []
    for key in sorted({*one, *other}, key=str):
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{path}/{key}")
        elif a != b:
            found.append(f"{path}/{key}: {a!r} != {b!r}")
    return found


def _order(cache: Any, order: Any) -> State:
    key = order.client_order_id
    values = {name: each for name, each in order.to_dict().items() if name not in _UNTOLD}
    return {
        **values,
        "events": [_event(each) for each in order.events],
        "venue_order_ids": [str(each) for each in order.venue_order_ids],
        "indexed_venue_order_id": str(cache.venue_order_id(key)),
        "indexed_back": str(cache.client_order_id(order.venue_order_id))
        if order.venue_order_id
        else "",
        "indexed_position_id": str(cache.position_id(key)),
        "indexed_client_id": str(cache.client_id(key)),
        "pending_cancel": cache.is_order_pending_cancel_local(key),
    }


def _event(event: Any) -> State:
    values: State = type(event).to_dict(event)
    return values | {"event_id": None} if isinstance(event, OrderInitialized) else values


def _position(position: Position) -> State:
    return {
        **position.to_dict(),
        "fills": [_fill(each) for each in position.events],
        "adjustments": len(position.adjustments),
        "trades": sorted(map(str, position.trade_ids)),
    }


def _fill(fill: Any) -> State:
    values: State = type(fill).to_dict(fill)
    return values | {"event_id": None}  # half of a fill has a new one


def _earlier(position: Position) -> tuple[str, str, str, str]:
    opened, closed = str(position.opening_order_id), str(position.closing_order_id)
    return str(position.instrument_id), opened, closed, str(position.realized_pnl)


def _account(account: Any) -> State:
    return {
        "type": str(account.type),
        "balances": {str(k): str(v) for k, v in account.balances().items()},
        "starting": _moneys(account.starting_balances()),
        "commissions": _moneys(account.commissions()),
        "last": type(account.last_event).to_dict(account.last_event)["balances"],
    }


def _moneys(values: dict[Any, Any] | None) -> State:
    return {str(key): str(value) for key, value in (values or {}).items()}


def _counts(kernel: Any) -> dict[str, int]:
    engine = kernel.exec_engine
    return {str(each): engine.position_id_count(each) for each in kernel.cache.strategy_ids()}
