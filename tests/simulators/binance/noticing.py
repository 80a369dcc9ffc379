"""A listener with Nautilus' Binance adapter that also tells what the adapter says to nobody.

Run as ``python -m simulators.binance.noticing``, with the job of `simulators.listener` without its
factory. It tells ``reconnecting`` and ``reconnected`` with the pool and the socket's number, and
takes the further commands of `Noticing.obey`. How it knows is what a feed process has to do, and is
explained in the README of the simulators.
"""

import asyncio
import os
from typing import IO, Any

from nautilus_trader.adapters.binance import BinanceLiveDataClientFactory
from nautilus_trader.adapters.binance.data import BinanceCommonDataClient
from nautilus_trader.adapters.binance.futures.types import BinanceFuturesMarkPriceUpdate
from nautilus_trader.adapters.binance.websocket.client import BinanceWebSocketClient
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import DataType, OrderBookDeltas
from nautilus_trader.model.identifiers import ClientId, InstrumentId

from simulators.listener import Listener, build, obey_input, start

POOLS = ("_ws_client", "_ws_public_client")
LOOK_EVERY_S = 0.01
VENUE = "BINANCE"


class Noticed(BinanceLiveDataClientFactory):
    """Keeps the data client that it makes, which nothing else gives out."""

    made: BinanceCommonDataClient

    @staticmethod
    def create(*args: Any, **kwargs: Any) -> BinanceCommonDataClient:
        """Make the data client of a node."""
        Noticed.made = BinanceLiveDataClientFactory.create(*args, **kwargs)
        return Noticed.made


class Noticing(Listener):
    """Tells what happens to the data client's sockets and books."""

    node: TradingNode

    def __init__(self, events: IO[str]) -> None:
        super().__init__(events)
        self._down: set[tuple[str, int]] = set()

    def on_start(self) -> None:
        """Listen at the sockets, which are opened by the first subscriptions."""
        super().on_start()
        for name in POOLS:
            self._wrap(name, getattr(Noticed.made, name))

    def _wrap(self, name: str, pool: BinanceWebSocketClient) -> None:
        repaired = pool._handle_reconnect

        def tell_and_repair(client_id: int) -> None:
            self._down.discard((name, client_id))
            streams = pool._client_streams[client_id]
            self.tell("reconnected", pool=name, number=client_id, streams=streams)
            repaired(client_id)

        pool._handle_reconnect = tell_and_repair  # type: ignore[method-assign]  # it has no hook

    async def look(self) -> None:
        """Tell when a socket begins to reconnect; short outages may pass between two looks."""
        while True:
            for name in POOLS:
                for number, socket in getattr(Noticed.made, name)._clients.items():
                    down = socket is not None and socket.is_reconnecting()
                    if down and (name, number) not in self._down:
                        self._down.add((name, number))
                        self.tell("reconnecting", pool=name, number=number)
            await asyncio.sleep(LOOK_EVERY_S)

    def obey(self, command: dict[str, Any]) -> None:
        """Tell the health or the books that wait, or force a reconnect or new books."""
        verb, client = command["do"], Noticed.made
        if verb == "health":
            running, trading = self.node.is_running(), self.node.trader.is_running
            self.tell("health", node=running, trader=trading, client=client.is_connected)
        elif verb == "waiting":
            waiting = {str(i): len(rows) for i, rows in client._book_buffer.items()}
            self.tell("waiting", books=waiting)
        elif verb == "force":
            self._task = asyncio.get_running_loop().create_task(self._force())
        elif verb == "rebook":
            self._task = asyncio.get_running_loop().create_task(client._reconnect())
        elif command["kind"] == "depth" and verb == "subscribe":
            self.subscribe_order_book_deltas(InstrumentId.from_str(command["of"]), depth=10)
        elif command["kind"] == "depth":
            self.unsubscribe_order_book_deltas(InstrumentId.from_str(command["of"]))
        elif command["kind"] == "all_prices":
            about = {"instrument_id": InstrumentId.from_str(command["of"])}
            kind = DataType(BinanceFuturesMarkPriceUpdate, metadata=about)
            getattr(self, f"{verb}_data")(kind, client_id=ClientId(VENUE))
        else:
            super().obey(command)

    async def _force(self) -> None:
        for name in POOLS:
            pool = getattr(Noticed.made, name)
            for number in list(pool._clients):
                await pool._disconnect_client(number)
                await pool._connect_client(number, pool._client_streams[number])
        await Noticed.made._reconnect()
        self.tell("forced")

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Write the whole book that the deltas leave behind."""
        book = self.cache.order_book(deltas.instrument_id)
        bids, asks = (
            [[str(level.price), str(level.orders()[0].size)] for level in side]
            for side in (book.bids(), book.asks())
        )
        self.tell("deltas", sequence=deltas.sequence, bids=bids, asks=asks)

    def on_data(self, data: Any) -> None:
        """Write what a mark price stream says."""
        self.tell("all_prices", **{k: str(v) for k, v in type(data).to_dict(data).items()})


async def main(job: dict[str, Any], events: IO[str]) -> None:
    """Run a job until standard input ends."""
    listener = Noticing(events)
    listener.node = node = build({"factory": f"{__name__}:Noticed", **job}, listener)
    running = asyncio.create_task(node.run_async())
    looking = asyncio.create_task(listener.look())
    await obey_input(listener)
    looking.cancel()
    running.cancel()
    os._exit(0)  # Nautilus' own threads may hold the interpreter


if __name__ == "__main__":
    start(main)
