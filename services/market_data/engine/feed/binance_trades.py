"""Past trades of Binance: all of a range, or a word that they cannot be had."""

from typing import Any

from nautilus_trader.model.data import TradeTick

PAGE = 1000
"""Trades in an answer."""

HOUR = 3_600_000
"""Milliseconds that a question by time may span."""


def mend_trades(client: Any) -> None:
    """Let a client give all trades of a range, hours without trades or not."""
    if client._binance_account_type.is_futures:
        client._use_agg_trade_ticks = True  # its live trades are aggregated ones always
    client._http_market.request_agg_trade_ticks = _Pages(client._http_market).between
    original = client._request_trade_ticks

    async def checked(request: Any) -> None:
        if not client._use_agg_trade_ticks:
            latest = await client._http_market.query_trades(
                request.instrument_id.symbol.value, PAGE
            )
            if len(latest) == PAGE and request.start.value < latest[0].time * 1_000_000:
                raise ValueError(_LATEST)
        await original(request)

    client._request_trade_ticks = checked


_LATEST = (
    f"Binance gives only the latest {PAGE} single trades, which are later than this range. Set "
    "use_agg_trade_ticks in the feed's config to ask for aggregated ones of any time"
)


class _Pages:
    """Pages of aggregated trades: the first by time, those after it by id."""

    def __init__(self, market: Any) -> None:
        self._market = market

    async def between(
        self, instrument_id: Any, limit: int, start_time: int, end_time: int
    ) -> list[TradeTick]:
        """Return the trades of a closed range of Unix milliseconds."""
        symbol = instrument_id.symbol.value
        page = await self._first(symbol, start_time, end_time)
        made: list[TradeTick] = []
        while page:
            made += [
                trade.parse_to_trade_tick(instrument_id=instrument_id)
                for trade in page
                if end_time >= trade.T
            ]
            if len(page) < PAGE or end_time < page[-1].T:
                break
            page = await self._market.query_agg_trades(symbol, PAGE, from_id=page[-1].a + 1)
        return made

    async def _first(self, symbol: str, start: int, end: int) -> list[Any]:
        """Return the first trades of a range, and those that follow them at once."""
        while start <= end:
            until = min(start + HOUR - 1, end)
            found: list[Any] = await self._market.query_agg_trades(
                symbol, PAGE, start_time=start, end_time=until
            )
            if found:
                after = await self._market.query_agg_trades(symbol, PAGE, from_id=found[0].a)
                return after or found
            start = until + 1
        return []
