"""The instruments of the simulated OKX, worded as ``/api/v5/public/instruments`` words them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulators.market import Candle, Market, Trade, candles

WIDTHS = {"s": 1_000, "m": 60_000, "H": 3_600_000, "D": 86_400_000}
BLANK = (
    *("alias", "auctionEndTime", "baseCcy", "ctMult", "ctType", "ctVal", "ctValCcy", "expTime"),
    *("instFamily", "lever", "optType", "quoteCcy", "settleCcy", "stk", "uly"),
)


@dataclass
class Listed(Market):
    """A market with what OKX says of it; ``worth`` is what one contract of a swap is in base."""

    base: str = "BTC"
    quoted: str = "USDT"
    worth: Decimal | None = None

    @property
    def kind(self) -> str:
        """Give the venue's type."""
        return "SPOT" if self.worth is None else "SWAP"

    def described(self) -> dict[str, str]:
        """Give the instrument as the venue describes it; what does not apply is empty."""
        swap = {
            "ctMult": "1",
            "ctType": "linear",
            "ctVal": str(self.worth),
            "ctValCcy": self.base,
            "instFamily": f"{self.base}-{self.quoted}",
            "settleCcy": self.quoted,
            "uly": f"{self.base}-{self.quoted}",
            "lever": "100",
        }
        limits = dict.fromkeys(("maxLmtSz", "maxMktSz", "maxStopSz"), "1000000")
        limits |= dict.fromkeys(("maxIcebergSz", "maxTriggerSz", "maxTwapSz"), "1000000")
        return {
            **dict.fromkeys(BLANK, ""),
            **limits,
            "instId": self.symbol,
            "instType": self.kind,
            "category": "1",
            "listTime": "1548133413000",
            "ruleType": "normal",
            "state": "live",
            "tickSz": str(self.tick),
            "lotSz": str(self.lot),
            "minSz": str(self.lot),
            **(swap if self.worth else {"baseCcy": self.base, "quoteCcy": self.quoted}),
        }

    def candles(self, bar: str) -> list[Candle]:
        """Give all candles of an OKX bar."""
        return list(candles(self.trades, width(bar)))

    def told_candle(self, candle: Candle, closed: bool) -> list[str]:
        """Give a candle as the venue does: nine texts, the last says whether it is closed."""
        prices = (candle.start, candle.open, candle.high, candle.low, candle.close)
        volume = candle.volume * (self.worth or 1)
        sums = (candle.volume, volume, candle.cost * (self.worth or 1), int(closed))
        return [str(value) for value in (*prices, *sums)]

    def told(self, trade: Trade) -> dict[str, Any]:
        """Give a trade as REST and the trades channel word it."""
        return {
            "instId": self.symbol,
            "tradeId": str(trade.number),
            "px": str(trade.price),
            "sz": str(trade.size),
            "side": "buy" if trade.buy else "sell",
            "ts": str(trade.ts),
        }


def width(bar: str) -> int:
    """Give an OKX bar such as ``1m`` or ``4H`` in milliseconds."""
    return int(bar[:-1]) * WIDTHS[bar[-1]]


def listed() -> dict[str, Listed]:
    """Give the markets by name."""
    tick, lot = Decimal("0.1"), Decimal("0.00001")
    markets = (
        Listed("BTC-USDT", tick, lot, Decimal(90_000)),
        Listed("ETH-USDT", Decimal("0.01"), Decimal("0.0001"), Decimal(3_000), base="ETH"),
        Listed("BTC-USDT-SWAP", tick, Decimal("0.01"), Decimal(90_050), worth=Decimal("0.01")),
    )
    return {market.symbol: market for market in markets}
