"""The instruments of the simulated Deribit, worded as ``public/get_instruments`` words them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulators.market import MINUTE_MS, Candle, Market, Trade, candles

NEVER = 32_503_708_800_000  # how Deribit writes the expiry of a perpetual


@dataclass
class Listed(Market):
    """A market with what Deribit says of it; amounts of an inverse one are in USD."""

    kind: str = "future"
    base: str = "BTC"
    quote_currency: str = "USD"
    expires: int = NEVER

    @property
    def inverse(self) -> bool:
        """Say whether it is settled in the base currency."""
        return self.quote_currency == "USD"

    @property
    def index_name(self) -> str:
        """Give the name of its price index."""
        return f"{self.base}_{self.quote_currency}".lower()

    def described(self) -> dict[str, Any]:
        """Give the instrument as the venue describes it."""
        settled = self.base if self.inverse else self.quote_currency
        derivative = {
            "expiration_timestamp": self.expires,
            "settlement_currency": settled,
            "settlement_period": "perpetual" if self.expires == NEVER else "month",
            "future_type": "reversed" if self.inverse else "linear",
            "max_leverage": 50,
            "max_liquidation_commission": 0.0075,
        }
        return {
            "instrument_name": self.symbol,
            "instrument_id": sum(map(ord, self.symbol)),
            "kind": self.kind,
            "instrument_type": "reversed" if self.inverse else "linear",
            "base_currency": self.base,
            "quote_currency": self.quote_currency,
            "counter_currency": self.quote_currency,
            "price_index": self.index_name,
            "tick_size": float(self.tick),
            "tick_size_steps": [],
            "contract_size": float(self.lot),
            "min_trade_amount": float(self.lot),
            "maker_commission": 0.0,
            "taker_commission": 0.0005,
            "creation_timestamp": 1_534_167_754_000,
            "is_active": True,
            **(derivative if self.kind == "future" else {}),
        }

    def sums(self, candle: Candle) -> tuple[float, float]:
        """Give a candle's volume in the base currency and its cost in the quote currency."""
        if self.inverse:
            return round(float(candle.volume / candle.close), 8), float(candle.volume)
        return float(candle.volume), float(candle.cost)

    def candles(self, resolution: str) -> list[Candle]:
        """Give all candles of a Deribit resolution."""
        return list(candles(self.trades, width(resolution)))

    def told(self, trade: Trade) -> dict[str, Any]:
        """Give a trade as REST and the trades channel word it."""
        return {
            "instrument_name": self.symbol,
            "trade_id": f"{self.base}-{trade.number}",
            "trade_seq": trade.number,
            "timestamp": trade.ts,
            "price": float(trade.price),
            "amount": float(trade.size),
            "contracts": float(trade.size / self.lot),
            "direction": "buy" if trade.buy else "sell",
            "tick_direction": 0,
            "index_price": float(trade.price),
            "mark_price": float(trade.price),
        }


def width(resolution: str) -> int:
    """Give a Deribit resolution, minutes or ``1D``, in milliseconds."""
    return (1440 if resolution == "1D" else int(resolution)) * MINUTE_MS


def listed(more: int = 0) -> dict[str, Listed]:
    """Give the markets by name; ``more`` adds so many small linear perpetuals."""
    markets = [
        Listed("BTC-PERPETUAL", Decimal("0.5"), Decimal(10), Decimal(90_000)),
        Listed("ETH-PERPETUAL", Decimal("0.05"), Decimal(1), Decimal(3_000), base="ETH"),
        Listed(
            "BTC_USDC-PERPETUAL",
            Decimal("0.5"),
            Decimal("0.0001"),
            Decimal(90_010),
            quote_currency="USDC",
        ),
        Listed(
            "BTC_USDC",
            Decimal(1),
            Decimal("0.0001"),
            Decimal(90_005),
            kind="spot",
            quote_currency="USDC",
        ),
    ]
    markets += [
        Listed(
            f"T{index}_USDC-PERPETUAL",
            Decimal("0.01"),
            Decimal("0.1"),
            Decimal(100),
            base=f"T{index}",
            quote_currency="USDC",
        )
        for index in range(more)
    ]
    return {market.symbol: market for market in markets}
