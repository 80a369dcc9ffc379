"""What a run's process is given, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ComponentTask:
    """A component's code and config. ``kind`` is STRATEGY, ACTOR or EXEC_ALGORITHM."""

    strategy_id: str
    kind: str
    version: str
    files: tuple[tuple[str, str], ...]
    importable_path: str
    class_name: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class DataTask:
    """One selection: its files in the catalog, as (path, SHA-256), and the closed range of
    ``ts_init`` in nanoseconds.
    """

    kind: str
    instrument_id: str
    bar_type: str
    files: tuple[tuple[str, str], ...]
    start: int
    end: int


@dataclass(frozen=True)
class RunTask:
    """A run: ``venues`` as in the contract's JSON form, times in unix nanoseconds.

    ``output`` is an empty folder that the run may write to; ``memory_mb`` is what it may take on
    top of an idle process.
    """

    backtest_id: str
    trader_id: str
    venues: Sequence[Mapping[str, Any]]
    data: tuple[DataTask, ...]
    instrument_ids: tuple[str, ...]
    components: tuple[ComponentTask, ...]
    start: int
    end: int
    chunk_size: int
    seed: int
    skip_analysis: bool
    catalog: str
    output: str
    memory_mb: int
