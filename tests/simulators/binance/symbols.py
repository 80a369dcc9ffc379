"""What trades on the simulated Binance, and how its prices and quantities are written."""

from collections.abc import Iterator
from dataclasses import dataclass

SPOT = "spot"
FUTURES = "futures"
MARKETS = (SPOT, FUTURES)


@dataclass(frozen=True)
class Symbol:
    """One symbol of one market.

    Prices are counted in ticks and quantities in lots, both integers. `places` and `size_places`
    are the decimals of the venue's text; a tick is ``tick`` units of the last decimal.
    """

    market: str
    base: str
    quote: str
    places: int
    tick: int
    size_places: int
    lot: int
    start: int  # ticks

    @property
    def name(self) -> str:
        """Give the venue's name, such as BTCUSDT."""
        return self.base + self.quote

    def price(self, ticks: int) -> str:
        """Write a price as the venue does."""
        return decimal(ticks * self.tick, self.places)

    def size(self, lots: int) -> str:
        """Write a quantity as the venue does."""
        return decimal(lots * self.lot, self.size_places)

    def ticks(self, price: str) -> int:
        """Read a price; raises ValueError when it is no multiple of the tick."""
        return steps(price, self.places, self.tick)

    def lots(self, size: str) -> int:
        """Read a quantity; raises ValueError when it is no multiple of the lot."""
        return steps(size, self.size_places, self.lot)

    def worth(self, ticks: int, lots: int) -> str:
        """Write price × quantity with eight decimals."""
        places = self.places + self.size_places
        units = ticks * self.tick * lots * self.lot
        return decimal(units * 10**8 // 10**places, 8)


def decimal(units: int, places: int) -> str:
    """Write ``units`` of the last of ``places`` decimals."""
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}" if places else str(whole)


def steps(text: str, places: int, step: int) -> int:
    """Read a decimal number as a number of steps; raises ValueError when it is none."""
    whole, _, part = text.partition(".")
    if part[places:].strip("0"):
        raise ValueError(f"{text} has more than {places} decimals")
    units = int(whole + part[:places].ljust(places, "0"))
    if units % step:
        raise ValueError(f"{text} is no multiple of {decimal(step, places)}")
    return units // step


def symbols(made_up: int = 0) -> Iterator[Symbol]:
    """Give the symbols of both markets, and ``made_up`` more of each.

    Spot writes eight decimals whatever the tick is; futures write as many as the tick has.
    """
    for base, tick, lot, start in (
        ("BTC", 2, 5, 5_000_000),
        ("ETH", 2, 4, 300_000),
        ("SOL", 2, 3, 15_000),
        ("XRP", 4, 1, 6_000),
    ):
        yield Symbol(SPOT, base, "USDT", 8, 10 ** (8 - tick), 8, 10 ** (8 - lot), start)
    yield Symbol(SPOT, "ETH", "BTC", 8, 1_000, 8, 10_000, 6_000)
    for base, places, tick, lot, start in (
        ("BTC", 2, 10, 3, 500_000),
        ("ETH", 2, 1, 3, 300_000),
        ("SOL", 4, 100, 0, 15_000),
    ):
        yield Symbol(FUTURES, base, "USDT", places, tick, lot, 1, start)
    for number in range(made_up):
        base = f"SIM{number:04d}"
        yield Symbol(SPOT, base, "USDT", 8, 10**6, 8, 10**4, 10_000 + number)
        yield Symbol(FUTURES, base, "USDT", 2, 1, 3, 1, 10_000 + number)
