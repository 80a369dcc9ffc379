"""``python listen.py SPEC.json``: a stock TradingNode with Nautilus' Binance adapter.

Subscribes to the quotes of one instrument, counts so many of them, and prints as JSON what it
measured. The first ``warm`` of them are not measured; with ``stamped`` the ask's quantity is the
microsecond of sending, in lots.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceDataClientConfig,
    BinanceLiveDataClientFactory,
)
from nautilus_trader.config import TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy


class Counter(Strategy):
    """Counts quotes, and keeps when each one came."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        self._spec = spec
        self._count = 0
        self._began = self._cpu = 0.0
        self._taken: list[tuple[int, QuoteTick]] = []

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_quote_ticks(InstrumentId.from_str(self._spec["instrument_id"]))

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Take one."""
        self._count += 1
        if self._spec["stamped"] and self._count > self._spec["warm"]:
            self._taken.append((time.time_ns() // 1000, tick))
        if self._count == self._spec["warm"]:
            self._began, self._cpu = time.perf_counter(), time.process_time()
        elif self._count == self._spec["total"]:
            self._tell()

    def _tell(self) -> None:
        measured = {
            "seconds": time.perf_counter() - self._began,
            "cpu_seconds": time.process_time() - self._cpu,
            "latencies": [self._latency(*each) for each in self._taken],
        }
        sys.stderr.write(json.dumps(measured))
        sys.stderr.flush()
        os._exit(0)  # Nautilus' own threads may hold the interpreter

    def _latency(self, now: int, tick: QuoteTick) -> int:
        lots = int(tick.ask_size.as_decimal().scaleb(self._spec["places"]))
        return int((now - lots) % self._spec["wrap"])


async def main(spec: dict[str, Any]) -> None:
    """Run a node as the examples of Nautilus do, with its default configuration."""
    client = BinanceDataClientConfig.parse(json.dumps(spec["client"]))
    node = TradingNode(TradingNodeConfig(data_clients={BINANCE: client}))
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.trader.add_strategy(Counter(spec))
    node.build()
    await node.run_async()


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
