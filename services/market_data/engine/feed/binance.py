"""What Nautilus' Binance adapter lacks for a feed that is read by many and must not go silent.

* It sends a message for each stream; the venue cuts who sends more than 5 or 10 a second.
* A socket that could not be connected at first is waited for without end.
* A stream subscribed while its socket closes, because it was empty, is lost.
* A drop shows nowhere but in ``_handle_reconnect``.
* After a reconnect a book stands still for ever when its snapshot cannot be had.
* Index prices and funding rates are left in data of a type of its own.
* Books and mark prices are never given up at the venue.
* Each message is decoded twice, and each symbol worked out anew.
* Past trades stop at a quiet hour, and single ones are only the latest 1,000, in silence.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nautilus_trader.model.data import FundingRateUpdate, IndexPriceUpdate, MarkPriceUpdate

from services.market_data.engine.feed.binance_pool import Pool
from services.market_data.engine.feed.binance_trades import mend_trades
from services.market_data.engine.feed.hooks import noting
from services.market_data.engine.feed.troubles import RATE_LIMITED, UNREACHABLE

log = logging.getLogger("market_data.feed")

FIRST, LONGEST = 1.0, 30.0
"""Seconds between attempts to get the snapshot of a book."""

SPEED = 1000
"""Milliseconds between two mark prices."""

POOLS = ("_ws_client", "_ws_public_client")


def mend(client: Any, on_reconnect: Callable[[], None]) -> frozenset[str]:
    """Mend a client before it connects; return the coroutines that it now has."""
    for name in POOLS:
        Pool(client, getattr(client, name), on_reconnect)
    client._get_cached_instrument_id = functools.cache(client._get_cached_instrument_id)
    client._order_book_snapshot_then_deltas = _until_had(client._order_book_snapshot_then_deltas)
    client._unsubscribe_order_book_deltas = _Books(client).unsubscribe
    mend_trades(client)
    if not client._binance_account_type.is_futures:
        return frozenset()
    marks = _Marks(client)
    client._handle_mark_price_data = marks.take
    for name in ("mark_prices", "index_prices", "funding_rates"):
        setattr(client, f"_subscribe_{name}", marks.subscribe)
        setattr(client, f"_unsubscribe_{name}", marks.unsubscribe)
    return frozenset({"_subscribe_index_prices", "_subscribe_funding_rates"})


type Snapshot = Callable[[Any], Awaitable[None]]


def _until_had(original: Snapshot) -> Snapshot:
    """Return the call that gets a book's snapshot, repeated until it works.

    Books wait for one another: a snapshot weighs much, and a limit holds for all.
    """
    turn = asyncio.Lock()

    async def until_had(instrument_id: Any) -> None:
        async with turn:
            await repeated(instrument_id)

    async def repeated(instrument_id: Any) -> None:
        wait = FIRST
        while True:
            _, failed = await noting(original(instrument_id))
            if failed is None:
                return
            log.warning("no snapshot of %s: %s", instrument_id, failed.message)
            if failed.reason not in (RATE_LIMITED, UNREACHABLE):
                raise ValueError(failed.message)
            await asyncio.sleep(max(wait, failed.retry_after))
            wait = min(LONGEST, wait * 2)

    return until_had


class _Books:
    """Gives books up at the venue."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def unsubscribe(self, command: Any) -> None:
        """End the changes of a book."""
        client = self._client
        client._book_depths.pop(command.instrument_id, None)
        client._book_buffer.pop(command.instrument_id, None)
        await client._ws_public_client.unsubscribe_diff_book_depth(
            symbol=command.instrument_id.symbol.value,
            speed=0 if client._binance_account_type.is_futures else 100,
        )


class _Marks:
    """Mark prices, index prices and funding rates: one stream of the venue."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._wanted: dict[Any, set[str]] = {}
        self._rates: dict[Any, tuple[Any, int]] = {}

    async def subscribe(self, command: Any) -> None:
        """Subscribe to one of the three."""
        wanted = self._wanted.setdefault(command.instrument_id, set())
        wanted.add(_what(command))
        self._rates.pop(command.instrument_id, None)
        await self._client._ws_client.subscribe_mark_price(_symbol(command), speed=SPEED)

    async def unsubscribe(self, command: Any) -> None:
        """End one of the three; the stream ends with the last."""
        wanted = self._wanted.get(command.instrument_id, set())
        wanted.discard(_what(command))
        if not wanted:
            self._wanted.pop(command.instrument_id, None)
            await self._client._ws_client.unsubscribe_mark_price(_symbol(command), speed=SPEED)

    def take(self, data: Any) -> None:
        """Turn a message into what was asked for; a funding rate when it has changed."""
        client = self._client
        instrument_id = client._get_cached_instrument_id(data.s)
        got = data.parse_to_binance_futures_mark_price_update(
            instrument_id=instrument_id, ts_init=client._clock.timestamp_ns()
        )
        times = got.ts_event, got.ts_init
        wanted = self._wanted.get(instrument_id, ())
        if "MarkPrices" in wanted:
            client._handle_data(MarkPriceUpdate(instrument_id, got.mark, *times))
        if "IndexPrices" in wanted:
            client._handle_data(IndexPriceUpdate(instrument_id, got.index, *times))
        rate = got.funding_rate, got.next_funding_ns
        if "FundingRates" in wanted and self._rates.get(instrument_id) != rate:
            self._rates[instrument_id] = rate
            client._handle_data(
                FundingRateUpdate(instrument_id, rate[0], *times, next_funding_ns=rate[1])
            )


def _what(command: Any) -> str:
    return type(command).__name__.removeprefix("Subscribe").removeprefix("Unsubscribe")


def _symbol(command: Any) -> str:
    return str(command.instrument_id.symbol.value)
