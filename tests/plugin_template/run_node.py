"""Run a TradingNode with the installed adapter and print quotes of an instrument, each a line.

Usage: python run_node.py INSTRUMENT_ID COUNT [CONFIG_JSON]
"""

import asyncio
import json
import os
import sys

from nautilus_trader.common.actor import Actor
from nautilus_trader.config import LoggingConfig
from nautilus_trader.live.node import TradingNode, TradingNodeConfig
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.identifiers import ClientId, InstrumentId

from meshkit.nautilus.venues.building import build

SECONDS = 30


class Printer(Actor):
    """Prints quotes and says when it has seen enough."""

    def __init__(self, instrument_id: InstrumentId, client: ClientId, count: int) -> None:
        super().__init__()
        self._instrument_id = instrument_id
        self._client = client
        self._left = count
        self.enough = asyncio.Event()

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_quote_ticks(self._instrument_id, client_id=self._client)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Print a quote."""
        if self._left > 0:
            print(f"{tick.instrument_id} {tick.bid_price} {tick.ask_price}", flush=True)
        self._left -= 1
        if self._left == 0:
            self.enough.set()


async def main(instrument: str, count: int, config: str) -> None:
    """Run until the quotes are printed; raises ``TimeoutError`` when they do not come."""
    made = build("TEMPLATE", json.loads(config), [instrument], environ=os.environ)
    node = TradingNode(
        TradingNodeConfig(
            data_clients={made.name: made.config},
            logging=LoggingConfig(log_level="ERROR"),
            timeout_post_stop=0.1,
        )
    )
    node.add_data_client_factory(made.name, made.factory)
    printer = Printer(InstrumentId.from_str(instrument), ClientId(made.name), count)
    node.trader.add_actor(printer)
    node.build()
    running = asyncio.create_task(node.run_async())
    async with asyncio.timeout(SECONDS):
        await printer.enough.wait()
    await node.stop_async()
    await running
    node.kernel.dispose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "{}"))
