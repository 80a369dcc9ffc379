"""A simulated Deribit and what happens there."""

import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulators.deribit.instruments import Listed, width
from simulators.deribit.session import RESOLUTIONS, Sessions
from simulators.exchange import Socket
from simulators.market import Quote, Trade

EVERY = "100ms"  # the interval of those who have not logged in


def now_ms() -> int:
    """Give the time in Unix milliseconds."""
    return int(time.time() * 1000)


class Deribit(Sessions):
    """Deribit's market data on loopback; nothing is sent until a test or `play` says so.

    Numbers may be given as text, as HTTP commands do; ``ts`` is in Unix milliseconds.
    """

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Add the venue's own events."""
        events = (self.book, self.ticker, self.funding, self.heartbeat)
        return {**super().commands(), **{event.__name__: event for event in events}}

    async def quote(self, symbol: str, ts: int | None = None, **given: Any) -> Quote:
        """Publish a quote, invented but for ``bid``, ``ask``, ``bid_size`` and ``ask_size``."""
        market = self.markets[symbol]
        made = market.quote(random.Random(), ts or now_ms())
        quote = Quote(**{**vars(made), **{name: Decimal(v) for name, v in given.items()}})
        data = {
            "instrument_name": symbol,
            "timestamp": quote.ts,
            "best_bid_price": float(quote.bid),
            "best_ask_price": float(quote.ask),
            "best_bid_amount": float(quote.bid_size),
            "best_ask_amount": float(quote.ask_size),
        }
        row = {name: str(value) for name, value in vars(quote).items()}
        await self.notify(f"quote.{symbol}", data, row)
        return quote

    async def trade(
        self, symbol: str, price: Any = None, size: Any = None, buy: bool = True, ts: int = 0
    ) -> Trade:
        """Trade, and publish the trade and the candles that it changes."""
        market = self.markets[symbol]
        if price is None:
            trade = market.walk(random.Random(), ts or now_ms())
        else:
            trade = market.trade(Decimal(price), Decimal(size), buy, ts or now_ms())
        row = {name: str(value) for name, value in vars(trade).items()}
        row["trade_id"] = str(market.told(trade)["trade_id"])
        await self.notify(f"trades.{symbol}.{EVERY}", [market.told(trade)], row)
        for resolution in RESOLUTIONS:
            if self.watching(f"chart.trades.{symbol}.{resolution}"):
                await self._chart(market, resolution)
        return trade

    async def _chart(self, market: Listed, resolution: str) -> None:
        candle = market.latest(width(resolution))[-1]
        volume, cost = market.sums(candle)
        data = {
            "tick": candle.start,
            "open": float(candle.open),
            "high": float(candle.high),
            "low": float(candle.low),
            "close": float(candle.close),
            "volume": volume,
            "cost": cost,
        }
        row = {name: str(value) for name, value in vars(candle).items()}
        await self.notify(f"chart.trades.{market.symbol}.{resolution}", data, row)

    async def book(self, symbol: str, bids: Any = (), asks: Any = ()) -> None:
        """Change levels, given as (price, size) with size 0 to delete, and publish the change."""
        market = self.markets[symbol]
        previous, market.change = market.change, market.change + 1
        data = {
            "type": "change",
            "instrument_name": symbol,
            "timestamp": now_ms(),
            "change_id": market.change,
            "prev_change_id": previous,
            "bids": [_moved(market.bids, Decimal(p), Decimal(s)) for p, s in bids],
            "asks": [_moved(market.asks, Decimal(p), Decimal(s)) for p, s in asks],
        }
        row = {"bid": str(max(market.bids)), "ask": str(min(market.asks))}
        await self.notify(f"book.{symbol}.{EVERY}", data, row)

    async def snapshot(self, socket: Socket, channel: str) -> None:
        """Send the whole book to a new subscriber."""
        if channel not in socket.channels or not channel.startswith("book."):
            return
        market = self.markets[channel.split(".")[1]]
        data = {
            "type": "snapshot",
            "instrument_name": market.symbol,
            "timestamp": now_ms(),
            "change_id": market.change,
            "bids": [["new", float(p), float(market.bids[p])] for p in sorted(market.bids)[::-1]],
            "asks": [["new", float(p), float(market.asks[p])] for p in sorted(market.asks)],
        }
        params = {"channel": channel, "data": data}
        await self.send(socket, {"jsonrpc": "2.0", "method": "subscription", "params": params})

    async def ticker(self, symbol: str, mark: Any, index: Any, ts: int | None = None) -> None:
        """Publish the mark and the index price."""
        market = self.markets[symbol]
        data = {
            "instrument_name": symbol,
            "timestamp": ts or now_ms(),
            "state": "open",
            "mark_price": float(mark),
            "index_price": float(index),
            "last_price": float(market.price),
            "open_interest": 1_000_000.0,
            "best_bid_price": float(market.price - market.tick),
            "best_ask_price": float(market.price + market.tick),
            "best_bid_amount": float(market.lot),
            "best_ask_amount": float(market.lot),
            "stats": {"high": None, "low": None, "price_change": None, "volume": 0.0},
        }
        row = {"mark": str(mark), "index": str(index), "ts": str(data["timestamp"])}
        await self.notify(f"ticker.{symbol}.{EVERY}", data, row)

    async def funding(self, symbol: str, interest: Any, ts: int | None = None) -> None:
        """Publish a perpetual's interest rate."""
        at = ts or now_ms()
        price = float(self.markets[symbol].price)
        data = {"interest": float(interest), "timestamp": at, "index_price": price}
        row = {"rate": str(interest), "ts": str(at)}
        await self.notify(f"perpetual.{symbol}.{EVERY}", data, row)


def _moved(levels: dict[Decimal, Decimal], price: Decimal, size: Decimal) -> list[Any]:
    """Change one level and give it as the venue words the change."""
    if not size:
        levels.pop(price, None)
        return ["delete", float(price), 0.0]
    action = "change" if price in levels else "new"
    levels[price] = size
    return [action, float(price), float(size)]
