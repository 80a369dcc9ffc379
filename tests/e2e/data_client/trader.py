"""``python trader.py JOB.json``: a strategy that writes down what reaches it, in a node on data of
the mesh and in a backtest.

``how`` of the job: ``lockstep`` and ``live`` are TradingNodes with the mesh's data client,
``backtest`` is a BacktestEngine on the catalog's files. Prints what was written down as JSON.
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.live.config import LiveExecEngineConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.currencies import USD, USDT
from nautilus_trader.model.data import (
    Bar,
    BarType,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDelta,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.enums import AccountType, BookType, OmsType
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.trading.strategy import Strategy

from meshkit.nautilus.data_time import DataTimeNode
from meshnautilus import MeshDataClientConfig, MeshDataClientFactory, ReplayRange
from meshnautilus.lockstep import TOPIC_ENDED

KINDS = {
    "quotes": QuoteTick,
    "trades": TradeTick,
    "bars": Bar,
    "deltas": OrderBookDelta,
    "marks": MarkPriceUpdate,
    "indexes": IndexPriceUpdate,
}


class Scribe(Strategy):
    """Writes down what reaches it, with the time that its clock shows."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(StrategyConfig())
        self.job = job
        self.seen: dict[str, list[Any]] = {name: [] for name in (*KINDS, "books", "answers")}
        self.done = asyncio.Event()

    def on_start(self) -> None:
        """Subscribe to what the job names, in its order."""
        for kind, name in self.job["subscribe"]:
            self._subscribe(kind, name)
        for name, start, end in self.job.get("request", ()):
            bar_type = BarType.from_str(name)
            self.request_bars(bar_type, start=_time(start), end=_time(end))
        for name in self.job.get("seam", ()):
            self._history_then_live(InstrumentId.from_str(name))

    def _history_then_live(self, instrument_id: InstrumentId) -> None:
        start = self.clock.utc_now() - timedelta(seconds=20)
        self.request_trade_ticks(
            instrument_id, start, callback=lambda _: self.subscribe_trade_ticks(instrument_id)
        )

    def _subscribe(self, kind: str, name: str) -> None:
        wanted = BarType.from_str(name) if kind == "bars" else InstrumentId.from_str(name)
        {
            "quotes": self.subscribe_quote_ticks,
            "trades": self.subscribe_trade_ticks,
            "bars": self.subscribe_bars,
            "marks": self.subscribe_mark_prices,
            "indexes": self.subscribe_index_prices,
            "deltas": lambda i: self.subscribe_order_book_deltas(i, BookType.L2_MBP),
        }[kind](wanted)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Write a quote down."""
        self._note("quotes", tick)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Write a trade down."""
        self._note("trades", tick)

    def on_bar(self, bar: Bar) -> None:
        """Write a bar down; after so many, subscribe to what the job has for later."""
        self._note("bars", bar)
        count, *later = self.job.get("later", (0,))
        if len(self.seen["bars"]) == count:
            self._subscribe(*later)

    def on_mark_price(self, mark: MarkPriceUpdate) -> None:
        """Write a mark price down."""
        self._note("marks", mark)

    def on_index_price(self, index: IndexPriceUpdate) -> None:
        """Write an index price down."""
        self._note("indexes", index)

    def on_order_book_deltas(self, deltas: Any) -> None:
        """Write the changes of a book down, and what the book is after them."""
        for delta in deltas.deltas:
            self._note("deltas", delta)
        book = self.cache.order_book(deltas.instrument_id)
        best = [str(book.best_bid_price()), str(book.best_ask_price())] if book else []
        self.seen["books"].append(best)

    def on_historical_data(self, data: Any) -> None:
        """Write the answer to a request down."""
        self.seen["answers"].append(type(data).to_dict(data))

    def _note(self, kind: str, data: Any) -> None:
        now = self.clock.timestamp_ns() if self.job["how"] != "live" else 0
        self.seen[kind].append([now, type(data).to_dict(data)])
        if sum(len(rows) for rows in self.seen.values()) >= self.job.get("enough", 1 << 62):
            self.done.set()


def _time(text: str) -> Any:
    import pandas as pd

    return pd.Timestamp(text)


async def on_mesh(job: dict[str, Any]) -> Scribe:
    """Run the strategy in a node whose data client is the mesh."""
    lockstep = job["how"] == "lockstep"
    replay = ReplayRange(job.get("start"), job.get("end")) if lockstep else None
    config = TradingNodeConfig(
        logging=LoggingConfig(log_level="WARNING", log_colors=False),
        exec_engine=LiveExecEngineConfig(reconciliation=False),
        data_clients={
            "MESH": MeshDataClientConfig(
                feed_id=job.get("feed_id", ""),
                replay=replay,
                instrument_ids=tuple(job["instruments"]),
            )
        },
        timeout_post_stop=0.0,
        timeout_disconnection=5.0,
    )
    loop = asyncio.get_running_loop()
    node: TradingNode = (
        DataTimeNode(config, start_ns=job["start"], loop=loop)
        if lockstep
        else TradingNode(config, loop=loop)
    )
    node.add_data_client_factory("MESH", MeshDataClientFactory)
    scribe = Scribe(job)
    node.trader.add_strategy(scribe)
    node.build()
    node.kernel.msgbus.subscribe(TOPIC_ENDED, lambda _: scribe.done.set())
    running = asyncio.create_task(node.run_async())
    async with asyncio.timeout(job.get("seconds", 60)):
        await scribe.done.wait()
    await node.stop_async()
    running.cancel()
    return scribe


def in_backtest(job: dict[str, Any]) -> Scribe:
    """Run the strategy in a backtest on the same files."""
    catalog = ParquetDataCatalog(job["catalog"])
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    for venue in {name.rpartition(".")[2] for name in job["instruments"]}:
        engine.add_venue(
            Venue(venue),
            OmsType.NETTING,
            AccountType.MARGIN,
            [Money(1_000_000, USD), Money(1_000_000, USDT)],
            book_type=BookType.L2_MBP if job.get("books") else BookType.L1_MBP,
        )
    for instrument in catalog.instruments(instrument_ids=job["instruments"]):
        engine.add_instrument(instrument)
    for kind, name in job["data"]:
        rows = catalog.query(
            KINDS[kind], identifiers=[name], start=job.get("start"), end=job.get("end")
        )
        engine.add_data(rows, sort=False)
    engine.sort_data()
    scribe = Scribe(job)
    engine.add_strategy(scribe)
    engine.run()
    return scribe


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    made = in_backtest(job) if job["how"] == "backtest" else asyncio.run(on_mesh(job))
    Path(sys.argv[1]).with_suffix(".out").write_text(json.dumps(made.seen))
