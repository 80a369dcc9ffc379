"""One function for each kind of data: the columns of a file → our columns."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from services.market_data.parsing.columns import Columns, Precision, compare, constant, zero
from services.market_data.parsing.raw import Raw
from services.market_data.tables import LEVELS

SIDES = {"BUY": 1, "SELL": 2, "BID": 1, "ASK": 2, "BUYER": 1, "SELLER": 2, "NO_AGGRESSOR": 0}
BUYER_MAKER = {"TRUE": 2, "FALSE": 1, "1": 2, "0": 1}
"""A buyer that was the maker means that the seller was the aggressor."""

ACTIONS = {"ADD": 1, "UPDATE": 2, "DELETE": 3, "CLEAR": 4}
BOOK_SIDES = {"NO_ORDER_SIDE": 0, "BUY": 1, "SELL": 2, "BID": 1, "ASK": 2}


@dataclass(frozen=True)
class Options:
    """What an import says of its file. ``step`` is a bar's length in nanoseconds, 0 where none."""

    precision: Precision
    columns: dict[str, str] = field(default_factory=dict)
    time_unit: str = ""
    time_zone: str = ""
    timestamp_is_open: bool = False
    default_size: str = ""
    step: int = 0

    @property
    def size(self) -> str:
        """The size of rows that have none, as Nautilus' own wranglers take it."""
        return self.default_size or "1000000"


Parser = Callable[[Raw, Options], pa.Table]


def bars(raw: Raw, options: Options) -> pa.Table:
    """Return bars, stamped at their close."""
    columns = Columns(raw, options.columns)
    price = options.precision.price
    opening, high, low, close = (
        columns.decimal(columns.need(name), price) for name in ("open", "high", "low", "close")
    )
    for name, value in (("open", opening), ("close", close), ("low", low)):
        compare(raw, columns.need("high"), value, high, f"is below the {name}")
    for name, value in (("open", opening), ("close", close)):
        compare(raw, columns.need("low"), low, value, f"is above the {name}")
    made = {"open": opening, "high": high, "low": low, "close": close}
    made["volume"] = _size(raw, columns, options, "volume")
    return _finish(raw, columns, options, made)


def quotes(raw: Raw, options: Options) -> pa.Table:
    """Return quote ticks."""
    columns = Columns(raw, options.columns)
    price = options.precision.price
    made = {
        "bid_price": columns.decimal(columns.need("bid_price", "bid"), price),
        "ask_price": columns.decimal(columns.need("ask_price", "ask"), price),
        "bid_size": _size(raw, columns, options, "bid_size", "bid_amount"),
        "ask_size": _size(raw, columns, options, "ask_size", "ask_amount"),
    }
    return _finish(raw, columns, options, made)


def trades(raw: Raw, options: Options) -> pa.Table:
    """Return trade ticks."""
    columns = Columns(raw, options.columns)
    size = columns.need("size", "quantity", "qty", "amount")
    maker = columns.find("buyer_maker", "is_buyer_maker")
    aggressor = columns.find("aggressor_side", "side")
    if aggressor is None and maker is not None:
        side = columns.choice(maker, BUYER_MAKER)
    else:
        side = columns.choice(columns.need("aggressor_side", "side"), SIDES)
    sizes = columns.decimal(size, options.precision.size, not_negative=True)
    zero(raw, size, sizes, np.ones(len(sizes), dtype=bool), "must be more than 0")
    made = {
        "price": columns.decimal(columns.need("price"), options.precision.price),
        "size": sizes,
        "aggressor_side": side,
        "trade_id": columns.text(columns.need("trade_id", "id", "agg_trade_id")),
    }
    return _finish(raw, columns, options, made)


def deltas(raw: Raw, options: Options) -> pa.Table:
    """Return order book deltas."""
    columns = Columns(raw, options.columns)
    count = raw.table.num_rows
    flags, sequence = columns.find("flags"), columns.find("sequence")
    action, size = columns.choice(columns.need("action"), ACTIONS), columns.need("size")
    sizes = columns.decimal(size, options.precision.size, not_negative=True)
    sets = np.isin(np.asarray(action), [ACTIONS["ADD"], ACTIONS["UPDATE"]])
    zero(raw, size, sizes, sets, "must be more than 0 to add or update")
    made = {
        "action": action,
        "side": columns.choice(columns.need("side"), BOOK_SIDES),
        "price": columns.decimal(columns.need("price"), options.precision.price),
        "size": sizes,
        "order_id": columns.whole(columns.need("order_id"), pa.uint64()),
        "flags": columns.whole(flags, pa.uint8()) if flags else _zeros(count, pa.uint8()),
        "sequence": columns.whole(sequence, pa.uint64())
        if sequence
        else _zeros(count, pa.uint64()),
    }
    return _finish(raw, columns, options, made)


def depth(raw: Raw, options: Options) -> pa.Table:
    """Return books of ten levels."""
    columns = Columns(raw, options.columns)
    count = raw.table.num_rows
    made: dict[str, pa.Array] = {}
    for side in ("bid", "ask"):
        for i in LEVELS:
            price, size, number = (f"{side}_{what}_{i}" for what in ("price", "size", "count"))
            made[price] = columns.decimal(columns.need(price), options.precision.price)
            made[size] = columns.decimal(
                columns.need(size), options.precision.size, not_negative=True
            )
            found = columns.find(number)
            made[number] = (
                columns.whole(found, pa.uint32()) if found else pa.array(np.ones(count, np.uint32))
            )
    for name, kind in (("flags", pa.uint8()), ("sequence", pa.uint64())):
        found = columns.find(name)
        made[name] = columns.whole(found, kind) if found else _zeros(count, kind)
    return _finish(raw, columns, options, made)


def prices(raw: Raw, options: Options) -> pa.Table:
    """Return mark or index prices."""
    columns = Columns(raw, options.columns)
    value = columns.decimal(columns.need("value", "price"), options.precision.price)
    return _finish(raw, columns, options, {"value": value})


PARSERS: dict[str, Parser] = {
    "BAR": bars,
    "QUOTE_TICK": quotes,
    "TRADE_TICK": trades,
    "ORDER_BOOK_DELTA": deltas,
    "ORDER_BOOK_DEPTH10": depth,
    "MARK_PRICE": prices,
    "INDEX_PRICE": prices,
}


def _size(raw: Raw, columns: Columns, options: Options, *names: str) -> pa.Array:
    found = columns.find(*names)
    if found is None:
        return constant(raw.table.num_rows, options.size)
    return columns.decimal(found, options.precision.size, not_negative=True)


def _finish(raw: Raw, columns: Columns, options: Options, made: dict[str, pa.Array]) -> pa.Table:
    """Add the times, and raise when any row was bad."""
    unit, zone = options.time_unit, options.time_zone
    if columns.find("timestamp"):
        event = columns.time(columns.need("timestamp"), unit, zone)
        init = event
    else:
        event = columns.time(columns.need("ts_event", "timestamp"), unit or "NANOSECOND", zone)
        init_name = columns.find("ts_init")
        init = columns.time(init_name, unit or "NANOSECOND", zone) if init_name else event
    if options.timestamp_is_open:
        event, init = event + options.step, init + options.step
    raw.check()
    return pa.table({**made, "ts_event": pa.array(event), "ts_init": pa.array(init)})


def _zeros(count: int, kind: pa.DataType) -> pa.Array:
    return pa.array(np.zeros(count, dtype=kind.to_pandas_dtype()))
