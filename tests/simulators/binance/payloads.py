"""What the venue says of each event, by stream and by REST: field names are Binance's."""

from typing import Any

from simulators.binance.book import Diff
from simulators.binance.klines import Kline
from simulators.binance.market import Market, next_funding
from simulators.binance.symbols import FUTURES, Symbol
from simulators.binance.trades import AggTrade, Trade

Json = dict[str, Any]


def levels(symbol: Symbol, rows: list[tuple[int, int]]) -> list[list[str]]:
    """Write levels, each price and quantity."""
    return [[symbol.price(ticks), symbol.size(lots)] for ticks, lots in rows]


def book_ticker(market: Market, now: int) -> Json:
    """Write <symbol>@bookTicker; spot's carries no time."""
    symbol, book = market.symbol, market.book
    row: Json = {
        "u": book.update,
        "s": symbol.name,
        "b": symbol.price(book.bid),
        "B": symbol.size(book.bids[book.bid]),
        "a": symbol.price(book.ask),
        "A": symbol.size(book.asks[book.ask]),
    }
    if symbol.market == FUTURES:
        return {"e": "bookTicker", **row, "T": now, "E": now}
    return row


def trade(symbol: Symbol, row: Trade, now: int) -> Json:
    """Write <symbol>@trade."""
    said: Json = {
        "e": "trade",
        "E": now,
        "s": symbol.name,
        "t": row.id,
        "p": symbol.price(row.ticks),
        "q": symbol.size(row.lots),
        "T": row.ms,
        "m": row.maker,
    }
    return said | ({"X": "MARKET"} if symbol.market == FUTURES else {"M": True})


def agg_trade(symbol: Symbol, row: AggTrade, now: int) -> Json:
    """Write <symbol>@aggTrade."""
    said: Json = {"e": "aggTrade", "E": now, "s": symbol.name, **agg_trade_row(symbol, row)}
    return said


def kline(symbol: Symbol, interval: str, row: Kline, closed: bool, now: int) -> Json:
    """Write <symbol>@kline_<interval>."""
    return {
        "e": "kline",
        "E": now,
        "s": symbol.name,
        "k": {
            "t": row.start,
            "T": row.end,
            "s": symbol.name,
            "i": interval,
            "f": row.first,
            "L": row.last,
            "o": symbol.price(row.open),
            "c": symbol.price(row.close),
            "h": symbol.price(row.high),
            "l": symbol.price(row.low),
            "v": symbol.size(row.lots),
            "n": row.count,
            "x": closed,
            "q": symbol.worth(1, row.value),
            "V": symbol.size(row.taker_lots),
            "Q": symbol.worth(1, row.taker_value),
            "B": "0",
        },
    }


def diff(symbol: Symbol, row: Diff, now: int) -> Json:
    """Write <symbol>@depth: each price with its new quantity, 0 when it is gone."""
    said: Json = {
        "e": "depthUpdate",
        "E": now,
        "s": symbol.name,
        "U": row.last + 1,
        "u": row.until,
        "b": levels(symbol, sorted(row.bids.items(), reverse=True)),
        "a": levels(symbol, sorted(row.asks.items())),
    }
    return said | {"T": now, "pu": row.last} if symbol.market == FUTURES else said


def partial(market: Market, limit: int, last: int, now: int) -> Json:
    """Write <symbol>@depth<limit>; ``last`` is the update id that the stream said before."""
    symbol, book = market.symbol, market.book
    bids, asks = (levels(symbol, side) for side in book.top(limit))
    if symbol.market != FUTURES:
        return {"lastUpdateId": book.update, "bids": bids, "asks": asks}
    said: Json = {"e": "depthUpdate", "E": now, "T": now, "s": symbol.name, "U": last + 1}
    return said | {"u": book.update, "pu": last, "b": bids, "a": asks}


def snapshot(market: Market, limit: int, now: int) -> Json:
    """Write GET depth."""
    bids, asks = (levels(market.symbol, side) for side in market.book.top(limit))
    times = {"E": now, "T": now} if market.symbol.market == FUTURES else {}
    return {"lastUpdateId": market.book.update, **times, "bids": bids, "asks": asks}


def mark_price(market: Market, now: int) -> Json:
    """Write <symbol>@markPrice."""
    mark, index = market.mark()
    return {
        "e": "markPriceUpdate",
        "E": now,
        "s": market.symbol.name,
        "p": mark,
        "i": index,
        "P": mark,
        "r": rate(market),
        "T": next_funding(now),
    }


def rate(market: Market) -> str:
    """Write the funding rate, which may be below 0."""
    sign = "-" if market.funding_rate < 0 else ""
    whole, part = divmod(abs(market.funding_rate), 10**8)
    return f"{sign}{whole}.{part:08d}"


def premium_index(market: Market, now: int) -> Json:
    """Write one row of GET premiumIndex."""
    mark, index = market.mark()
    return {
        "symbol": market.symbol.name,
        "markPrice": mark,
        "indexPrice": index,
        "estimatedSettlePrice": mark,
        "lastFundingRate": rate(market),
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding(now),
        "time": now,
    }


def trade_row(symbol: Symbol, row: Trade) -> Json:
    """Write one row of GET trades and historicalTrades."""
    said: Json = {
        "id": row.id,
        "price": symbol.price(row.ticks),
        "qty": symbol.size(row.lots),
        "quoteQty": symbol.worth(row.ticks, row.lots),
        "time": row.ms,
        "isBuyerMaker": row.maker,
    }
    return said if symbol.market == FUTURES else said | {"isBestMatch": True}


def agg_trade_row(symbol: Symbol, row: AggTrade) -> Json:
    """Write one row of GET aggTrades, which is also the body of its stream."""
    said: Json = {
        "a": row.id,
        "p": symbol.price(row.ticks),
        "q": symbol.size(row.lots),
        "f": row.first,
        "l": row.last,
        "T": row.ms,
        "m": row.maker,
    }
    return said if symbol.market == FUTURES else said | {"M": True}


def kline_row(symbol: Symbol, row: Kline) -> list[Any]:
    """Write one row of GET klines."""
    return [
        row.start,
        symbol.price(row.open),
        symbol.price(row.high),
        symbol.price(row.low),
        symbol.price(row.close),
        symbol.size(row.lots),
        row.end,
        symbol.worth(1, row.value),
        row.count,
        symbol.size(row.taker_lots),
        symbol.worth(1, row.taker_value),
        "0",
    ]
