"""Venues of other families through the service, by Nautilus' own adapters: case MD-33."""

import json
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from integration.market_data.live.conftest import (
    Live,
    Open,
    Reading,
    bars,
    new_id,
    quotes,
    until,
)
from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_TRADE_TICK
from services.market_data.live.serving import starter
from services.market_data.live.venues import Venues
from simulators.deribit import Deribit
from simulators.exchange import Exchange
from simulators.market import MINUTE_MS
from simulators.okx import OKX

SYMBOLS = {"DERIBIT": "BTC-PERPETUAL", "OKX": "BTC-USDT"}
CHANNELS = {
    "DERIBIT": ("quote.{}", "trades.{}.100ms", "chart.trades.{}.1"),
    "OKX": ("bbo-tbt:{}", "trades:{}", "candle1m:{}"),
}
"""The venues' own names of quotes, trades and minute bars."""
KEYS = {"OKX_API_KEY": "key", "OKX_API_SECRET": "secret", "OKX_API_PASSPHRASE": "phrase"}
"""What OKX's adapter wants even for public data; the environment is where keys come from."""
SECRETS = {"api_key", "api_secret", "api_passphrase"}


@pytest.fixture(params=["DERIBIT", "OKX"])
async def exchange(request: pytest.FixtureRequest) -> AsyncIterator[Exchange]:
    """Give a simulated venue."""
    async with {"DERIBIT": Deribit, "OKX": OKX}[request.param]() as venue:
        yield venue


@pytest.fixture
def name(exchange: Exchange) -> str:
    """Give the venue's name."""
    return type(exchange).__name__.upper()


@pytest.fixture
async def served(open_live: Open, exchange: Exchange, name: str, tmp_path: Path) -> Live:
    """Give a service with a feed of the venue, its process the real one."""
    venues = Venues()
    environment = {**os.environ, **KEYS}
    live = await open_live(venues=venues, start=starter(venues, tmp_path / "logs", environment))
    options: dict[str, Any] = exchange.options  # type: ignore[attr-defined]  # each has them
    config = {name: value for name, value in options.items() if name not in SECRETS}
    await live.feeds.CreateFeed(
        rpc.CreateFeedRequest(
            request_id=new_id(), feed_id="sim", venue=name, config_json=json.dumps(config)
        )
    )
    return live


def _decimals(rows: list[dict[str, str]], *names: str) -> list[tuple[Decimal, ...]]:
    return [tuple(Decimal(str(row[name])) for name in names) for row in rows]


def _got(reading: Reading, kind: str, *names: str) -> list[tuple[Decimal, ...]]:
    """Return the updates of a kind that came, in order."""
    found = [item.update for item in reading.items if item.update.HasField(kind)]  # type: ignore[arg-type]  # a field's name
    return [tuple(Decimal(getattr(getattr(u, kind), name)) for name in names) for u in found]


async def test_md33_quotes_trades_and_bars_are_those_of_the_venue(
    served: Live, exchange: Any, name: str
) -> None:
    """MD-33a: what the venue sent is what a reader gets, row for row; bars when they close."""
    symbol, instrument_id = SYMBOLS[name], f"{SYMBOLS[name]}.{name}"
    trades = pb.Channel(kind=DATA_KIND_TRADE_TICK, instrument_id=instrument_id)
    minutes = bars(f"{instrument_id}-1-MINUTE-LAST-EXTERNAL")
    reading = served.watch(await served.subscribe([*quotes(instrument_id), trades, *minutes]))
    await reading.message()
    quoted, traded, charted = (channel.format(symbol) for channel in CHANNELS[name])
    await _subscribed(exchange, quoted, traded, charted)
    for _ in range(100):
        await exchange.quote(symbol)
    start = exchange.markets[symbol].trades[-1].ts + MINUTE_MS
    for second in range(0, 240, 7):
        await exchange.trade(symbol, ts=start + second * 1_000)
    await reading.until(lambda r: len(_got(r, "bar", "close")) >= 3)
    await reading.until(lambda r: len(_got(r, "quote", "bid_price")) == 100)
    await reading.until(lambda r: len(_got(r, "trade", "price")) == len(exchange.rows(traded)))
    sent = _decimals(exchange.rows(quoted), "bid", "ask", "bid_size", "ask_size")
    assert _got(reading, "quote", "bid_price", "ask_price", "bid_size", "ask_size") == sent
    sent = _decimals(exchange.rows(traded), "price", "size")
    assert _got(reading, "trade", "price", "size") == sent
    last = {row["start"]: row for row in exchange.rows(charted)}
    closed = [last[start] for start in sorted(last)][:3]
    values = ("open", "high", "low", "close", "volume")
    assert _got(reading, "bar", *values)[:3] == _decimals(closed, *values)
    assert reading.gaps() == []


async def test_md33_a_dropped_connection_is_a_gap(served: Live, exchange: Any, name: str) -> None:
    """MD-33b: a connection that the venue drops is said; rows go on without anybody's help."""
    symbol = SYMBOLS[name]
    reading = served.watch(await served.subscribe(quotes(f"{symbol}.{name}")))
    await reading.message()
    quoted = CHANNELS[name][0].format(symbol)
    await _subscribed(exchange, quoted)
    await exchange.quote(symbol)
    await reading.until(lambda r: len(_got(r, "quote", "bid_price")) == 1)
    exchange.drop()
    await reading.until(lambda r: "VENUE_DISCONNECTED" in r.gaps())
    await _subscribed(exchange, quoted)
    await exchange.quote(symbol)
    await reading.until(lambda r: len(_got(r, "quote", "bid_price")) == 2)
    sent = _decimals(exchange.rows(quoted), "bid", "ask")
    assert _got(reading, "quote", "bid_price", "ask_price") == sent


async def _subscribed(exchange: Any, *channels: str) -> None:

    await until(lambda: set(channels) <= set(exchange.state()["channels"]), str(channels))
