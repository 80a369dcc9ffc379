"""Run the simulated Binance as a process: prints its port, and ends when standard input does."""

import argparse
import asyncio
import contextlib
import os
import stat
import sys

from simulators.binance.symbols import FUTURES, SPOT
from simulators.binance.venue import Binance, Options


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="simulators.binance", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--made-up", type=int, default=0, help="symbols beside the usual ones")
    parser.add_argument("--past", type=float, default=7_200.0, help="seconds of history")
    parser.add_argument("--behind", type=float, default=0.0, help="seconds behind wall time")
    parser.add_argument("--limits", action="store_true", help="cut who sends too many messages")
    parser.add_argument("--ping-every", type=float, help="seconds")
    parser.add_argument("--rate", type=float, default=0.0, help="quotes per second to begin with")
    parser.add_argument("--symbols", default="BTCUSDT,ETHUSDT", help="of --rate")
    return parser.parse_args()


async def serve(given: argparse.Namespace) -> None:
    """Run until standard input ends, when that is a pipe, so that no test leaves one behind."""
    options = Options(
        given.seed, given.made_up, given.past, given.behind, given.limits, given.ping_every
    )
    async with Binance(given.port, options) as venue:
        for market in (SPOT, FUTURES) if given.rate else ():
            venue.run(given.rate, given.rate / 10, market, tuple(given.symbols.split(",")))
        sys.stdout.write(f"{venue.port}\n")
        sys.stdout.flush()
        if not stat.S_ISFIFO(os.fstat(0).st_mode):
            await asyncio.Event().wait()
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(0, lambda: None if os.read(0, 4096) else over.set())
        await over.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments()))
