"""One run of Nautilus' BacktestEngine, from task to result."""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.common.component import is_backtest_force_stop
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.identifiers import TraderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.persistence.funcs import class_to_filename

from meshkit.nautilus.loader import LoadError, load, user_frame
from services.backtest.engine import analyzer
from services.backtest.engine.data import NoDataError, add_data
from services.backtest.engine.results import figures, write_tables
from services.backtest.engine.venues import add_venue
from services.backtest.task import ComponentTask, RunTask


class RunFailed(Exception):
    """A run that cannot go on: reason, message, and where in user code."""

    def __init__(self, reason: str, message: str, file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.file = file
        self.line = line


def run(task: RunTask, began: Callable[[BacktestEngine], None]) -> dict[str, Any]:
    """Run a task; ``began`` gets the engine before the first event. Raises ``RunFailed``.

    The result's tables are in ``task.output``; what is returned are its figures.
    """
    random.seed(task.seed)
    np.random.seed(task.seed % 2**32)
    analyzer.install()
    engine = BacktestEngine(
        config=BacktestEngineConfig(
            trader_id=TraderId(task.trader_id),
            logging=LoggingConfig(log_level="WARNING", log_colors=False),
            run_analysis=not task.skip_analysis,
        )
    )
    _build(engine, task)
    began(engine)
    started = time.perf_counter()
    _replay(engine, task)
    seconds = time.perf_counter() - started
    venues = [str(venue["name"]) for venue in task.venues]
    result = figures(engine, venues)
    result |= write_tables(engine, venues, Path(task.output))
    result["run_seconds"] = seconds
    result["stopped_early"] = bool(is_backtest_force_stop())
    (Path(task.output) / "figures.json").write_text(json.dumps(result))
    return result


def _build(engine: BacktestEngine, task: RunTask) -> None:
    try:
        for venue in task.venues:
            add_venue(engine, venue)
        catalog = ParquetDataCatalog(task.catalog)
        for instrument in _instruments(catalog, task.instrument_ids):
            engine.add_instrument(instrument)
        engine.set_default_market_data_client()
        add_data(engine, catalog, task.data, task.chunk_size)
    except NoDataError as error:
        raise RunFailed("DATA_CHANGED", str(error)) from None
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise RunFailed("ENGINE_FAILED", f"Nautilus refuses the venues or data: {error}") from error
    for component in task.components:
        _add_component(engine, component)


def _instruments(catalog: ParquetDataCatalog, wanted: Iterable[str]) -> Iterator[Instrument]:
    """Yield instruments as ``catalog.instruments`` does, which asks for every class there is: that
    is a tenth of a short run.
    """
    data = Path(catalog.path) / "data"
    for instrument_class in (Instrument, *Instrument.__subclasses__()):
        if (data / class_to_filename(instrument_class)).is_dir():
            yield from catalog.query(instrument_class, identifiers=list(wanted))


def _add_component(engine: BacktestEngine, task: ComponentTask) -> None:
    try:
        loaded = load(task.kind, task.version, task.files, task.importable_path, task.class_name)
        config: Any = loaded.config
        made = loaded.component(config.parse(msgspec.json.encode(dict(task.config))))
        match task.kind:
            case "STRATEGY":
                engine.add_strategy(made)
            case "ACTOR":
                engine.add_actor(made)
            case _:
                engine.add_exec_algorithm(made)
    except LoadError as error:
        where = f"{task.strategy_id}: {error.message}"
        raise RunFailed("STRATEGY_LOAD_FAILED", where, error.file, error.line) from error
    except Exception as error:  # user code may raise anything when it is made
        raise _raised(error, f"{task.strategy_id} cannot be made") from error


def _replay(engine: BacktestEngine, task: RunTask) -> None:
    try:
        engine.run(start=task.start, end=task.end, run_config_id=task.backtest_id)
    except Exception as error:  # it may come from user code, which may raise anything
        raise _raised(error, "The run failed") from error


def _raised(error: Exception, what: str) -> RunFailed:
    file, line = user_frame(error)
    if isinstance(error, MemoryError):
        where = f" ({file}, line {line})" if file else ""
        text = f"The run took more memory than it may{where}."
        return RunFailed("MEMORY_EXCEEDED", text, file, line)
    text = f"{type(error).__name__}: {error}"
    if file:
        return RunFailed("STRATEGY_RAISED", f"{file}, line {line}: {text}", file, line)
    return RunFailed("ENGINE_FAILED", f"{what}: {text}")
