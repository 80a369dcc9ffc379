"""Bars of a million ticks in lockstep and in a backtest: equal, and how fast.

Run by hand, from the repository: ``PYTHONPATH=tests .venv/bin/python -m
integration.nautilus.million [ticks]``. The rate counts playing alone, not the making of the ticks.
"""

import asyncio
import sys
import time

from integration.nautilus.runs import Log, PlayingClient, PlayingFactory, apart, in_backtest, played
from integration.nautilus.test_lockstep import BARS
from integration.nautilus.witness import Case, Witness
from meshkit.nautilus.data_time import driver_of


class TimedClient(PlayingClient):
    """Times the playing, from the start of the node to the end of the data."""

    seconds = 0.0

    async def _play(self) -> None:
        await driver_of(self._clock).ready()
        start = time.perf_counter()
        await super()._play()
        type(self).seconds = time.perf_counter() - start


def timed(case: Case) -> tuple[Log, float]:
    """Return the log of a node, and how long (s) it was played to."""
    PlayingFactory.client = TimedClient
    witness = Witness(case)
    asyncio.run(played(case, witness))
    return witness.log_book, TimedClient.seconds


def main() -> None:
    """Print the figures; exit with 1 when the bars differ."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for bars in (BARS[:1], BARS):
        case = Case(count, bars=bars)
        log, seconds = apart(timed, case)
        equal = log == apart(in_backtest, case)
        kinds = ", ".join(b.split("-", 1)[1].removesuffix("-LAST-INTERNAL").lower() for b in bars)
        print(f"{count} ticks, bars by {kinds}: {seconds:.1f} s, {count / seconds:,.0f} ticks/s;")
        print(f"  {len(log)} bars, {'equal to' if equal else 'NOT THOSE OF'} a backtest's")
        if not equal:
            sys.exit(1)


if __name__ == "__main__":
    main()
