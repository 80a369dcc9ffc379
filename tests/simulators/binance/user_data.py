"""What the simulated Binance tells the owner of an account: order and account updates."""

from decimal import Decimal
from typing import Any

from simulators.binance.accounts import Account, Position
from simulators.binance.matching import ZERO, Fill, Order


def text(value: Decimal) -> str:
    """Write a decimal as the venue does."""
    return f"{value:f}"


def futures_order(order: Order, what: str, fill: Fill | None, ms: int) -> dict[str, Any]:
    """Write ORDER_TRADE_UPDATE."""
    done = fill or Fill(0, ZERO, ZERO, False, ms)
    body = {
        "s": order.symbol, "c": order.client_id, "S": order.side, "o": order.type,
        "f": order.tif, "q": text(order.qty), "p": text(order.price),
        "ap": text(order.average), "sp": "0", "x": what, "X": order.status, "i": order.id,
        "l": text(done.qty), "z": text(order.executed), "L": text(done.price), "T": ms,
        "t": done.id, "b": "0", "a": "0", "m": done.maker, "R": order.reduce_only,
        "wt": "CONTRACT_PRICE", "ot": order.type, "ps": "BOTH", "cp": False,
        "rp": text(done.realized), "pP": False, "si": 0, "ss": 0, "V": "NONE",
        "pm": "NONE", "gtd": order.good_till,
    }  # fmt: skip
    if fill is not None:
        body |= {"N": "USDT", "n": text(fill.commission)}
    return {"e": "ORDER_TRADE_UPDATE", "E": ms, "T": ms, "o": body}


def futures_account(account: Account, symbol: str, ms: int) -> dict[str, Any]:
    """Write ACCOUNT_UPDATE after a fill."""
    held = account.positions.get(symbol, Position())
    balances = [
        {"a": asset, "wb": text(amount), "cw": text(amount), "bc": "0"}
        for asset, amount in account.balances.items()
    ]
    position = {
        "s": symbol, "pa": text(held.amount), "ep": text(held.entry), "cr": "0", "up": "0",
        "mt": "cross", "iw": "0", "ps": "BOTH",
    }  # fmt: skip
    body = {"m": "ORDER", "B": balances, "P": [position]}
    return {"e": "ACCOUNT_UPDATE", "E": ms, "T": ms, "a": body}


def spot_order(order: Order, what: str, fill: Fill | None, ms: int) -> dict[str, Any]:
    """Write executionReport."""
    done = fill or Fill(-1, ZERO, ZERO, False, ms)
    canceled = what == "CANCELED"
    body = {
        "e": "executionReport", "E": ms, "s": order.symbol,
        "c": f"cancel-{order.id}" if canceled else order.client_id, "S": order.side,
        "o": order.type, "f": order.tif, "q": text(order.qty), "p": text(order.price),
        "P": "0.00000000", "F": "0.00000000", "g": -1,
        "C": order.client_id if canceled else "", "x": what, "X": order.status, "r": "NONE",
        "i": order.id, "l": text(done.qty), "z": text(order.executed), "L": text(done.price),
        "n": text(done.commission), "N": "USDT" if fill else None, "T": ms, "t": done.id,
        "I": 0, "w": order.open, "m": done.maker, "M": False, "O": order.ms,
        "Z": text(order.quote), "Y": text(done.price * done.qty), "Q": "0.00000000",
        "V": "EXPIRE_MAKER",
    }  # fmt: skip
    return body


def spot_account(balances: list[dict[str, str]], ms: int) -> dict[str, Any]:
    """Write outboundAccountPosition; ``balances`` as in GET account."""
    rows = [{"a": b["asset"], "f": b["free"], "l": b["locked"]} for b in balances]
    return {"e": "outboundAccountPosition", "E": ms, "u": ms, "B": rows}
