"""One function for each format of a file."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from services.market_data.errors import ImportFault
from services.market_data.parsing.kinds import PARSERS, Options, Parser, bars, trades
from services.market_data.parsing.raw import Raw, read_csv, read_parquet
from services.market_data.tables import KINDS, to_client

Block = tuple[pa.Table, np.ndarray]
"""Rows with our columns, and the line of each."""

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


def parse(
    path: Path, file_format: str, kind: str, delimiter: str, options: Options
) -> Iterator[Block]:
    """Yield the rows of an uploaded file with their lines; raises ``ImportFault``."""
    match file_format:
        case "CSV":
            return _parsed(read_csv(path, delimiter, None), PARSERS[kind], options)
        case "PARQUET":
            return _parsed(read_parquet(path), PARSERS[kind], options)
        case "NAUTILUS_PARQUET":
            return _nautilus(path, kind, options)
        case "BINANCE_KLINES":
            _only(kind, "BAR", file_format)
            named = replace(options, columns={"timestamp": "open_time"}, timestamp_is_open=True)
            return _parsed(_binance(path, KLINES), bars, named)
        case "BINANCE_TRADES":
            _only(kind, "TRADE_TICK", file_format)
            named = replace(options, columns={"timestamp": "time", "trade_id": "id"})
            return _parsed(_binance(path, TRADES), trades, named)
        case "BINANCE_AGG_TRADES":
            _only(kind, "TRADE_TICK", file_format)
            named = replace(options, columns={"timestamp": "transact_time"})
            return _parsed(_binance(path, AGG_TRADES), trades, named)
    raise ImportFault("BAD_FILE", f"The format {file_format} is not known.")


def _parsed(raws: Iterable[Raw], parser: Parser, options: Options) -> Iterator[Block]:
    for raw in raws:
        if raw.table.num_rows:
            yield parser(raw, options), raw.lines
        else:
            raw.check()


def _only(kind: str, wanted: str, file_format: str) -> None:
    if kind != wanted:
        raise ImportFault("BAD_FILE", f"A file of {file_format} holds {wanted}, not {kind}.")


def _binance(path: Path, names: list[str]) -> Iterator[Raw]:
    """Read a file of Binance's public data, with or without a header line."""
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
    return read_csv(path, ",", names[:count], skip_first=has_header)


def _nautilus(path: Path, kind: str, options: Options) -> Iterator[Block]:
    wanted = KINDS[kind]
    schema = wanted.client_schema(None)
    for raw in read_parquet(path):
        _check_columns(raw.table.schema, kind)
        _check_precision(raw.table.schema.metadata or {}, options)
        table = raw.table.select(schema.names).combine_chunks()
        batches = [to_client(batch, schema) for batch in table.to_batches()]
        yield pa.Table.from_batches(batches, schema=schema), raw.lines


def _check_columns(schema: pa.Schema, kind: str) -> None:
    for field in KINDS[kind].stored_schema({}):
        index = schema.get_field_index(field.name)
        if index < 0 or schema.field(index).type != field.type:
            raise ImportFault(
                "BAD_FILE",
                f"The file is no Nautilus catalog file of {kind} in high precision: column "
                f"'{field.name}' is missing or is not {field.type}.",
            )


def _check_precision(metadata: dict[bytes, bytes], options: Options) -> None:
    for name, ours in (("price", options.precision.price), ("size", options.precision.size)):
        found = metadata.get(f"{name}_precision".encode())
        if found is not None and int(found) != ours:
            raise ImportFault(
                "BAD_FILE",
                f"The file's {name} precision is {int(found)}, and the instrument's is {ours}.",
            )
