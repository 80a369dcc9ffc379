"""Columns as they stand in a file → our columns, checked row by row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from services.market_data.errors import ImportFault
from services.market_data.parsing.raw import Raw
from services.market_data.tables import DECIMAL

_NUMBER = r"^[+-]?\d{1,20}(\.\d{1,16})?$"
_WHOLE = r"^\d{1,19}$"
_ZONED = r"(:\d\d(\.\d+)?\s?([+-]\d\d(:?\d\d)?|UTC)|[Zz])\s*$"
_UNITS = {"SECOND": 10**9, "MILLISECOND": 10**6, "MICROSECOND": 10**3, "NANOSECOND": 1}

MOST = pa.scalar("17014118346046").cast(DECIMAL)
"""The largest price or size that Nautilus holds in 128 bits."""

LEAST = pa.scalar("-17014118346046").cast(DECIMAL)
ZERO = pa.scalar("0").cast(DECIMAL)


@dataclass(frozen=True)
class Precision:
    """Decimals of an instrument's prices and sizes."""

    price: int
    size: int


class Columns:
    """Finds and converts the columns of one file."""

    def __init__(self, raw: Raw, names: Mapping[str, str]) -> None:
        self._raw = raw
        self._names = names
        self._found: dict[str, str] = {name.lower(): name for name in raw.table.column_names}

    def find(self, *candidates: str) -> str | None:
        """Return the file's name of the first of our names that is there."""
        for wanted in candidates:
            name = self._names.get(wanted, wanted)
            if name.lower() in self._found:
                return self._found[name.lower()]
        return None

    def need(self, *candidates: str) -> str:
        """Return the file's name of a column that must be there."""
        found = self.find(*candidates)
        if found is None:
            there = ", ".join(self._raw.table.column_names[:20])
            raise ImportFault(
                "BAD_FILE",
                f"The file has no column '{candidates[0]}'; it has: {there}. "
                "Name it in `columns` where it is called otherwise.",
            )
        return found

    def decimal(self, column: str, precision: int, *, not_negative: bool = False) -> pa.Array:
        """Return a price or size, exactly; faults are noted and read as 0."""
        values = self._raw.table[column].combine_chunks()
        text = _as_text(_rounded(values, precision))
        made = _all_good(text, precision, ZERO if not_negative else LEAST)
        return self._decimal(column, text, precision, not_negative) if made is None else made

    def _decimal(self, column: str, text: pa.Array, precision: int, not_negative: bool) -> pa.Array:
        """Convert what has a fault, finding each."""
        text, good = _matching(text, _NUMBER)
        self._raw.bad(~_mask(good), column, "is no decimal number such as 1.25")
        made = pc.if_else(good, text, pa.scalar("0")).cast(DECIMAL)
        rounded = pc.round(made, ndigits=precision)
        exact = _mask(pc.equal(rounded.cast(DECIMAL), made))
        description = f"has more decimals than the instrument's {precision}"
        self._raw.bad(~exact & _mask(good), column, description)
        self._raw.bad(_mask(pc.greater(pc.abs(made), MOST)), column, f"is more than {MOST}")
        if not_negative:
            self._raw.bad(_mask(pc.less(made, ZERO)), column, "must not be negative")
        return made

    def whole(self, column: str, kind: pa.DataType) -> pa.Array:
        """Return a whole number that is not negative."""
        text, good = _matching(_as_text(self._raw.table[column].combine_chunks()), _WHOLE)
        self._raw.bad(~_mask(good), column, "is no whole number")
        wide = pc.if_else(good, text, pa.scalar("0")).cast(pa.uint64())
        most = 2 ** (kind.bit_width) - 1
        too_big = _mask(pc.greater(wide, pa.scalar(most, pa.uint64())))
        self._raw.bad(too_big, column, f"is more than {most}")
        return pc.if_else(pa.array(~too_big), wide, pa.scalar(0, pa.uint64())).cast(kind)

    def choice(self, column: str, values: Mapping[str, int]) -> pa.Array:
        """Return the number of a word, whatever its case."""
        text = pc.utf8_upper(
            pc.utf8_trim_whitespace(_as_text(self._raw.table[column].combine_chunks()))
        )
        words = list(values)
        index = pc.index_in(text, value_set=pa.array(words))
        missing = _mask(pc.is_null(index))
        self._raw.bad(missing, column, f"is none of {', '.join(words)}")
        numbers = pa.array(list(values.values()), pa.uint8())
        return numbers.take(pc.fill_null(index, 0))

    def text(self, column: str) -> pa.Array:
        """Return text that must not be empty."""
        values = _as_text(self._raw.table[column].combine_chunks())
        missing = _mask(pc.fill_null(pc.equal(pc.utf8_length(values), 0), True))
        self._raw.bad(missing, column, "is empty")
        return pc.fill_null(values, "")

    def time(self, column: str, unit: str, zone: str) -> np.ndarray:
        """Return unix nanoseconds; faults are noted and read as 0."""
        values = self._raw.table[column].combine_chunks()
        if pa.types.is_timestamp(values.type):
            zoned = values if values.type.tz else pc.assume_timezone(values, zone or "UTC")
            nanos = zoned.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
            self._raw.bad(_mask(pc.is_null(nanos)), column, "is empty")
            return self._since_1970(column, np.asarray(pc.fill_null(nanos, 0)))
        text, good = _matching(_as_text(values), _WHOLE)
        whole = _mask(good)
        if (
            len(whole) and whole.mean() > 0.5
        ):  # a stray word among numbers is the fault, not the rest
            return self._numeric_time(column, text, whole, unit)
        return self._written_time(column, text, zone)

    def _numeric_time(self, column: str, text: pa.Array, good: np.ndarray, unit: str) -> np.ndarray:
        self._raw.bad(~good, column, "is no timestamp")
        numbers = np.asarray(pc.if_else(pa.array(good), text, pa.scalar("0")).cast(pa.int64()))
        factor = _UNITS.get(unit) or _guess_unit(numbers[good])
        too_big = numbers > (2**63 - 1) // factor
        self._raw.bad(too_big & good, column, "is later than the year 2262")
        return np.where(too_big, 0, numbers) * factor

    def _written_time(self, column: str, text: pa.Array, zone: str) -> np.ndarray:
        frame = text.to_pandas()
        zoned = _mask(pc.fill_null(pc.match_substring_regex(text, _ZONED), False))
        naive = not zoned.any()
        self._raw.bad(~zoned & (not naive), column, "names no time zone, and other rows do")
        parsed = pd.to_datetime(frame, format="ISO8601", errors="coerce", utc=not naive)
        if naive:
            parsed = parsed.dt.tz_localize(zone or "UTC", ambiguous="NaT", nonexistent="NaT")
        missing = parsed.isna().to_numpy()
        self._raw.bad(missing, column, "is no timestamp such as 2024-01-31T09:30:00Z")
        utc = parsed.dt.tz_convert("UTC").dt.as_unit("ns").dt.tz_localize(None)
        nanos = np.where(missing, 0, utc.to_numpy().astype(np.int64))
        return self._since_1970(column, nanos)

    def _since_1970(self, column: str, nanos: np.ndarray) -> np.ndarray:
        self._raw.bad(nanos < 0, column, "is before 1970, where Nautilus' time begins")
        return np.asarray(np.maximum(nanos, 0))


def _all_good(text: pa.Array, precision: int, least: pa.Scalar) -> pa.Array | None:
    """Return the decimals of a column without a fault; None when it has one."""
    if text.null_count:
        return None
    try:
        made = text.cast(pa.decimal128(38, precision)).cast(DECIMAL)
    except pa.ArrowInvalid:
        return None
    low, high = pc.min_max(made).values()
    inside = low.is_valid and low.as_py() >= least.as_py() and high.as_py() <= MOST.as_py()
    return made if inside else None


def _matching(text: pa.Array, pattern: str) -> tuple[pa.Array, pa.Array]:
    """Return text, trimmed if need be, and where it matches."""
    good = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    if _mask(good).all():
        return text, good
    text = pc.utf8_trim_whitespace(text)
    return text, pc.fill_null(pc.match_substring_regex(text, pattern), False)


def compare(raw: Raw, column: str, low: pa.Array, high: pa.Array, description: str) -> None:
    """Note the rows where ``low`` is above ``high``."""
    raw.bad(_mask(pc.greater(low, high)), column, description)


def zero(raw: Raw, column: str, values: pa.Array, where: np.ndarray, description: str) -> None:
    """Note the rows of ``where`` whose value is 0 in the file."""
    is_zero = _mask(pc.equal(values, ZERO))
    text = _mask(pc.fill_null(pc.match_substring_regex(_as_text(raw.table[column]), "^0"), False))
    raw.bad(is_zero & where & text, column, description)


def constant(count: int, value: str) -> pa.Array:
    """Return a column of one decimal."""
    return pa.repeat(pa.scalar(value).cast(DECIMAL), count)


def _guess_unit(numbers: np.ndarray) -> int:
    largest = int(numbers.max()) if len(numbers) else 0
    for limit, unit in ((10**17, 1), (10**14, 10**3), (10**11, 10**6)):
        if largest >= limit:
            return unit
    return 10**9


def _as_text(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_floating(values.type):
        # The shortest text that gives the same number back: what the file's author wrote.
        return pa.array([None if v is None else _plain(v) for v in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _rounded(values: pa.Array, precision: int) -> pa.Array:
    """Take the noise off binary floating point: what is a decimal of that precision but for it."""
    if not pa.types.is_floating(values.type):
        return values
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), dtype=float)
    near = np.round(numbers, precision)
    close = np.isclose(numbers, near, rtol=1e-12, atol=1e-12)
    text = [f"{n:.{precision}f}" if c else None for n, c in zip(near, close, strict=True)]
    return pc.coalesce(pa.array(text, pa.string()), _as_text(values))


def _plain(value: float) -> str:
    text = repr(value)
    if "e" in text or "E" in text:
        return np.format_float_positional(value, trim="0")
    return text


def _mask(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)
