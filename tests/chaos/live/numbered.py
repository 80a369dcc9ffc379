"""The simulated Binance with quotes that count: run from `tests/` with `python -m`.

The sizes of quote n of a symbol are n lots, trades have the venue's own numbers, so that a reader
sees what it missed, what it was told twice, and what came out of order.
"""

import argparse
import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from simulators.binance.market import Market
from simulators.binance.symbols import SPOT
from simulators.binance.venue import Binance, Options
from simulators.exchange import input_ended

TURN = 100
"""Quotes that are sent before others get their turn."""

PAST = 60.0
"""Seconds of invented history, of which nothing is asked here."""

ENOUGH = 4 << 20
"""Bytes that a client has not taken, after which it is waited for."""


class Numbered(Binance):
    """The venue; ``numbers`` are those of the last quotes by symbol."""

    def __init__(self, port: int, options: Options) -> None:
        super().__init__(port, options)
        self.numbers: Counter[str] = Counter()

    def step_quote(self, market: Market) -> None:
        """Send the next quote of a symbol; its prices stay."""
        symbol = market.symbol
        self.numbers[symbol.name] += 1
        number = self.numbers[symbol.name]
        if self.silent:
            return
        size, bid, ask = symbol.size(number), symbol.price(100), symbol.price(101)
        self.hub.publish(
            f"{SPOT}/{symbol.name.lower()}@bookTicker",
            f'{{"u":{number},"s":"{symbol.name}","b":"{bid}","B":"{size}","a":"{ask}",'
            f'"A":"{size}"}}'.encode(),
        )

    async def number(self, symbols: list[str], count: int) -> None:
        """Send ``count`` quotes of each symbol as fast as they are taken."""
        markets = [self._market(SPOT, name) for name in symbols]
        for index in range(count):
            for market in markets:
                self.step_quote(market)
            if index % TURN == 0:
                await asyncio.sleep(0)
                while any(wire.behind > ENOUGH for wire in self.hub.wires):
                    await asyncio.sleep(0.01)

    def last(self) -> dict[str, int]:
        """Give the number of the last quote and trade of each symbol that has been asked for."""
        trades = {f"{m.symbol.name}:trades": len(m.trades.aggregated) for m in self.touched(SPOT)}
        return {f"{name}:quotes": number for name, number in self.numbers.items()} | trades

    def commands(self) -> dict[str, Callable[..., Any]]:
        """Give what can be commanded by HTTP."""
        return super().commands() | {"number": self.number, "last": self.last}


async def serve(made_up: int) -> None:
    """Run until standard input ends."""
    async with Numbered(0, Options(made_up=made_up, past=PAST, limits=True)) as venue:
        sys.stdout.write(f"{venue.port}\n")
        sys.stdout.flush()
        await input_ended()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--made-up", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().made_up))
