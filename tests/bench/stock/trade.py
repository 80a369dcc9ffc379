"""``python trade.py SPEC.json``: a bare TradingNode with a sandbox and Nautilus' Binance adapter.

Runs ``RoundTrip``, whose log says what it measured. The sandbox is Nautilus' own, or with
``"sandbox": "mesh"``, which no stock environment has, the one of the mesh's traders.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from nautilus_trader.adapters.binance import (
    BINANCE,
    BinanceDataClientConfig,
    BinanceLiveDataClientFactory,
)
from nautilus_trader.adapters.sandbox.config import SandboxExecutionClientConfig
from nautilus_trader.adapters.sandbox.factory import SandboxLiveExecClientFactory
from nautilus_trader.config import LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from round_trip import (  # type: ignore[import-not-found]  # its neighbour: it is run as a script
    RoundTrip,
    RoundTripConfig,
)

ACCOUNT: dict[str, Any] = {
    "venue": BINANCE,
    "account_type": "MARGIN",
    "starting_balances": ["100000000 USDT", "10000 BTC"],
}


async def main(spec: dict[str, Any]) -> None:
    """Run a node as the examples of Nautilus do, until the process is killed."""
    client = BinanceDataClientConfig.parse(json.dumps(spec["client"]))
    config: Any = SandboxExecutionClientConfig(**ACCOUNT)
    factory: Any = SandboxLiveExecClientFactory
    if spec["sandbox"] == "mesh":
        from services.live_execution.engine import sandbox  # not there in stock

        config, factory = sandbox.SandboxConfig(**ACCOUNT), sandbox.SandboxFactory
    node = TradingNode(
        TradingNodeConfig(
            logging=LoggingConfig(log_level="INFO", log_colors=False),
            data_clients={BINANCE: client},
            exec_clients={BINANCE: config},
        )
    )
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, factory)
    node.trader.add_strategy(
        RoundTrip(RoundTripConfig.parse(json.dumps(spec["config"] | {"order_id_tag": "001"})))
    )
    node.build()
    if spec["sandbox"] == "mesh":
        sandbox.mend(node)
    await node.run_async()


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
