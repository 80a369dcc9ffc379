"""One function for each format of a file."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from services.market_data.errors import ImportFault
from services.market_data.parsing.kinds import PARSERS, Options, bars, trades
from services.market_data.parsing.raw import Raw, read_csv, read_parquet
from services.market_data.tables import KINDS, to_client

KLINES = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
]
TRADES = ["id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"]
AGG_TRADES = [
    "agg_trade_id",
    "price",
    "quantity",
    "first_trade_id",
    "last_trade_id",
    "transact_time",
    "is_buyer_maker",
    "is_best_match",
]


def parse(path: Path, file_format: str, kind: str, delimiter: str, options: Options) -> pa.Table:
    """Return the rows of an uploaded file; raises ``ImportFault``."""
    match file_format:
        case "CSV":
            return _some(PARSERS[kind](read_csv(path, delimiter, None), options))
        case "PARQUET":
            return _some(PARSERS[kind](read_parquet(path), options))
        case "NAUTILUS_PARQUET":
            return _some(_nautilus(path, kind, options))
        case "BINANCE_KLINES":
            _only(kind, "BAR", file_format)
            named = replace(options, columns={"timestamp": "open_time"}, timestamp_is_open=True)
            return _some(bars(_binance(path, KLINES), named))
        case "BINANCE_TRADES":
            _only(kind, "TRADE_TICK", file_format)
            named = replace(options, columns={"timestamp": "time", "trade_id": "id"})
            return _some(trades(_binance(path, TRADES), named))
        case "BINANCE_AGG_TRADES":
            _only(kind, "TRADE_TICK", file_format)
            named = replace(options, columns={"timestamp": "transact_time"})
            return _some(trades(_binance(path, AGG_TRADES), named))
    raise ImportFault("BAD_FILE", f"The format {file_format} is not known.")


def _some(table: pa.Table) -> pa.Table:
    if not table.num_rows:
        raise ImportFault("BAD_FILE", "The file has no rows.")
    return table


def _only(kind: str, wanted: str, file_format: str) -> None:
    if kind != wanted:
        raise ImportFault("BAD_FILE", f"A file of {file_format} holds {wanted}, not {kind}.")


def _binance(path: Path, names: list[str]) -> Raw:
    """Read a file of Binance's public data, which has a header line since 2025 and none before."""
    with path.open("rb") as file:
        first = file.readline(4096).decode("utf-8", "replace").strip()
    if not first:
        raise ImportFault("BAD_FILE", "The file is empty.")
    fields = first.split(",")
    count = len(fields)
    if count > len(names) or count < len(names) - 1:
        raise ImportFault(
            "BAD_FILE", f"The file has {count} columns; a file of this format has {len(names)}."
        )
    has_header = not fields[0].strip().isdigit()
    raw = read_csv(path, ",", None if has_header else names[:count])
    if has_header:
        raw.table = raw.table.rename_columns(names[:count])
    return raw


def _nautilus(path: Path, kind: str, options: Options) -> pa.Table:
    raw = read_parquet(path)
    wanted = KINDS[kind]
    stored = wanted.stored_schema({})
    for field in stored:
        index = raw.table.schema.get_field_index(field.name)
        if index < 0 or raw.table.schema.field(index).type != field.type:
            raise ImportFault(
                "BAD_FILE",
                f"The file is no Nautilus catalog file of {kind} in high precision: column "
                f"'{field.name}' is missing or is not {field.type}.",
            )
    _check_precision(raw.table.schema.metadata or {}, options)
    schema = wanted.client_schema(None)
    table = raw.table.select([field.name for field in schema]).combine_chunks()
    batches = [to_client(batch, schema) for batch in table.to_batches()]
    made = pa.Table.from_batches(batches, schema=schema)
    for name in ("ts_event", "ts_init"):
        index = made.schema.get_field_index(name)
        made = made.set_column(index, name, made[name].cast(pa.int64()))
    return made


def _check_precision(metadata: dict[bytes, bytes], options: Options) -> None:
    for name, ours in (("price", options.precision.price), ("size", options.precision.size)):
        found = metadata.get(f"{name}_precision".encode())
        if found is not None and int(found) != ours:
            raise ImportFault(
                "BAD_FILE",
                f"The file's {name} precision is {int(found)}, and the instrument's is {ours}.",
            )
