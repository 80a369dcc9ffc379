"""A bare TradingNode with one data client, in a process of its own: what it gets, as JSON lines.

Run as ``python -m simulators.listener`` from the tests' folder. The first line of standard input
is a job: ``{"venue": "DERIBIT", "factory": "module:Class", "config": "module:Class", "options":
{…}}``. Each later line is a command, ``{"do": "subscribe", "kind": "quotes", "of": …}``; see
`Listener.obey`. Standard output is events alone; Nautilus' log goes to standard error.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from typing import IO, Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import resolve_path
from nautilus_trader.config import LoggingConfig, TradingNodeConfig
from nautilus_trader.core.datetime import unix_nanos_to_dt
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import (
    Bar,
    BarType,
    FundingRateUpdate,
    IndexPriceUpdate,
    MarkPriceUpdate,
    OrderBookDeltas,
    QuoteTick,
    TradeTick,
)
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument

KINDS = {
    "quotes": "quote_ticks",
    "trades": "trade_ticks",
    "bars": "bars",
    "deltas": "order_book_deltas",
    "mark": "mark_prices",
    "index": "index_prices",
    "funding": "funding_rates",
}


class Listener(Actor):
    """Writes each event that reaches it as one JSON line."""

    def __init__(self, events: IO[str]) -> None:
        super().__init__()
        self._events = events

    def tell(self, event: str, **fields: Any) -> None:
        """Write one line."""
        self._events.write(json.dumps({"event": event, **fields}) + "\n")
        self._events.flush()

    def on_start(self) -> None:
        """Say which instruments the data client has loaded."""
        self.tell("started", instruments=sorted(str(i.id) for i in self.cache.instruments()))

    def obey(self, command: dict[str, Any]) -> None:
        """Subscribe, unsubscribe or request; ``of`` is an instrument id or a bar type."""
        verb, kind, of = command["do"], command["kind"], command["of"]
        target = BarType.from_str(of) if kind == "bars" else InstrumentId.from_str(of)
        if verb == "request":
            self._request(kind, target, command)
        else:
            getattr(self, f"{verb}_{KINDS[kind]}")(target)

    def _request(self, kind: str, target: Any, command: dict[str, Any]) -> None:
        if kind == "instrument":
            done = self.request_instrument(target, callback=lambda _: self.tell("answered"))
        else:
            start, end = unix_nanos_to_dt(command["start"]), unix_nanos_to_dt(command["end"])
            ask = getattr(self, f"request_{KINDS[kind]}")
            done = ask(target, start=start, end=end, callback=lambda _: self.tell("answered"))
        self.tell("requested", id=str(done))

    def on_historical_data(self, data: Any) -> None:
        """Write the rows of an answer."""
        for row in data if isinstance(data, list) else [data]:
            self.tell("history", **type(row).to_dict(row))

    def on_instrument(self, instrument: Instrument) -> None:
        """Write an instrument."""
        self.tell("instrument", id=str(instrument.id))

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Write a quote."""
        self.tell("quotes", **QuoteTick.to_dict(tick))

    def on_trade_tick(self, tick: TradeTick) -> None:
        """Write a trade."""
        self.tell("trades", **TradeTick.to_dict(tick))

    def on_bar(self, bar: Bar) -> None:
        """Write a bar."""
        self.tell("bars", **Bar.to_dict(bar))

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Write the book that the deltas leave behind."""
        book: OrderBook | None = self.cache.order_book(deltas.instrument_id)
        if book is not None:
            self.tell("deltas", bid=str(book.best_bid_price()), ask=str(book.best_ask_price()))

    def on_mark_price(self, update: MarkPriceUpdate) -> None:
        """Write a mark price."""
        self.tell("mark", value=str(update.value), ts_event=update.ts_event)

    def on_index_price(self, update: IndexPriceUpdate) -> None:
        """Write an index price."""
        self.tell("index", value=str(update.value), ts_event=update.ts_event)

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Write a funding rate."""
        self.tell("funding", rate=str(update.rate), ts_event=update.ts_event)


def build(job: dict[str, Any], listener: Listener) -> TradingNode:
    """Give a node with the job's data client and the listener, built."""
    venue = job["venue"]
    configuration: Any = resolve_path(job["config"])
    client = configuration.parse(json.dumps(job["options"]))
    node = TradingNode(
        config=TradingNodeConfig(
            trader_id="LISTENER-001",
            logging=LoggingConfig(log_level=job.get("log_level", "INFO"), log_colors=False),
            data_clients={venue: client},
            timeout_connection=job.get("timeout", 10.0),
            timeout_disconnection=3.0,
            timeout_post_stop=0.1,
        )
    )
    node.add_data_client_factory(venue, resolve_path(job["factory"]))
    node.trader.add_actor(listener)
    node.build()
    return node


async def obey_input(listener: Listener) -> None:
    """Obey each line of standard input until it ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        listener.obey(json.loads(line))


async def main(job: dict[str, Any], events: IO[str]) -> None:
    """Run a job until standard input ends."""
    listener = Listener(events)
    node = build(job, listener)
    running = asyncio.create_task(node.run_async())
    await obey_input(listener)
    await node.stop_async()
    running.cancel()
    os._exit(0)  # Nautilus' own threads may hold the interpreter


def start(program: Callable[[dict[str, Any], IO[str]], Coroutine[Any, Any, None]]) -> None:
    """Read the job and run a program with it and what its events go to."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Nautilus logs to standard output, which is kept for events
    with open(0, "rb", buffering=0, closefd=False) as unbuffered:  # the rest is for the loop
        first = unbuffered.readline()
    asyncio.run(program(json.loads(first), told))


if __name__ == "__main__":
    start(main)
