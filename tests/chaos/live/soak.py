"""`make chaos`: things break at random for as long as is asked, and counts are printed.

``python -m chaos.live.soak [--minutes 5] [--seed N]``: exit code 1 when a reader was told anything
else than it was promised.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from chaos.live.breaking import FAULTS, PAIRS, Fault, Place
from chaos.live.ledger import missing
from chaos.live.readers import Reader, clients
from chaos.live.scene import (
    SILENCE,
    ended,
    feed_of_a_venue,
    flowing,
    many_subscriptions,
    strike,
    watched,
)
from running_mesh import RunningMesh, start_mesh

SUBSCRIPTIONS = 1_000
RATE = 5.0
"""Times the ticks of the tests."""
SHARE_AWAY = 0.2
"""Part of the readers that leaves before a fault and comes back after it."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


async def soak(mesh: RunningMesh, minutes: float, draw: random.Random) -> None:
    """Break one thing after another, and two together, until the time is over."""
    end = time.monotonic() + minutes * 60
    struck: Counter[str] = Counter()
    async with feed_of_a_venue(mesh, "soak", silence=SILENCE) as at:
        async with watched(at, draw, RATE) as readers:
            while time.monotonic() < end:
                for fault in draw.sample((*FAULTS, *PAIRS), len(FAULTS)):
                    await one(at, readers, fault, draw)
                    struck[fault.name] += 1
            last = await ended(at, readers)
        report(readers, struck, last)


async def one(at: Place, readers: Sequence[Reader], fault: Fault, draw: random.Random) -> None:
    """Let something break while some readers are away."""
    began = time.monotonic()
    away = [reader for reader in readers if draw.random() < SHARE_AWAY]
    for reader in away:
        await reader.stop()
    await strike(at, [reader for reader in readers if reader not in away], fault, draw)
    for reader in away:
        reader.start()
    await flowing(at, readers, f"everybody after {fault.name}", 5)
    say(f"{fault.name:<48} {len(away):>2} away  {time.monotonic() - began:6.1f} s")


def report(readers: Sequence[Reader], struck: Counter[str], last: dict[str, int]) -> None:
    """Print what happened."""
    told = [told for reader in readers for told in reader.told.values()]
    gaps = Counter(cause for each in told for cause in each.causes)
    ticks = sum(each.received for each in told)
    lost = sum(missing(t) for each in readers if each.lossless for t in each.told.values())
    breaks = sum(len(reader.breaks) for reader in readers)
    say(f"\nfaults   {sum(struck.values())}: {dict(struck)}")
    say(f"ticks    {sum(last.values())} by the venue, {ticks} received, {lost} in gaps of LOSSLESS")
    say(f"gaps     {dict(gaps)}\nstreams  {breaks} broken and resumed\nno tick twice, none unsaid")


async def run(minutes: float, seed: int) -> None:
    """Run it all on a mesh of its own."""
    with tempfile.TemporaryDirectory(prefix="mesh-s-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's user passes through
        mesh = start_mesh(Path(name) / "data", "--bare")
        try:
            mesh.wait_for("mesh ready")
            say(f"seed {seed}")
            await soak(mesh, minutes, random.Random(seed))
            async with feed_of_a_venue(mesh, "many") as at, clients(mesh, 8) as meshes:
                await many_subscriptions(at, meshes, SUBSCRIPTIONS)
            say(f"{SUBSCRIPTIONS} subscriptions survived a kill -9")
        finally:
            mesh.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="chaos.live.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    given = parser.parse_args()
    try:
        asyncio.run(run(given.minutes, given.seed))
    except AssertionError as fault:
        sys.exit(f"seed {given.seed}: {fault}")
