"""Composition root of the mesh on one machine."""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from meshkit.config import ConfigError
from services.up.config import Config
from services.up.embedded.process import EmbeddedError, private_folder, socket_folder
from services.up.gateway import gateway
from services.up.lock import AlreadyRunning, only_one
from services.up.ports import PortsTaken, check_free
from services.up.process import Failed, end_leftovers, rotate
from services.up.ready import first_steps
from services.up.secrets import Secrets
from services.up.specs import Addresses, latch_url, services
from services.up.stores import open_stores
from services.up.supervisor import supervised

PROJECT = Path(__file__).resolve().parents[2]
REFUSALS = (ConfigError, AlreadyRunning, PortsTaken, EmbeddedError, Failed)
"""What keeps the mesh from starting; the text says why and what to do."""
FAILED = 1
STOPPED = 130


def main() -> None:
    """Run the mesh; the exit code is 0, or 1 when it did not start or the main job failed."""
    parser = argparse.ArgumentParser(prog="python -m services.up", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the main job")
    parser.add_argument("--bare", action="store_true", help="without the sample and its job")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(_until_signal(once=arguments.once, bare=arguments.bare)))


async def _until_signal(*, once: bool, bare: bool) -> int:
    """Run the mesh until Ctrl-C or SIGTERM, which also end a start-up where it stands."""
    state = State()
    work = asyncio.create_task(_mesh(state, once=once, bare=bare))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, work, state)
    try:
        return await work
    except asyncio.CancelledError:
        return STOPPED
    except REFUSALS as error:
        _say(f"The mesh did not start. {error}")
        return FAILED


@dataclass
class State:
    """How far the mesh has come."""

    serving: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def _stop(work: asyncio.Task[int], state: State) -> None:
    if state.stopping.is_set():
        _say("stopping already, in order")
        return
    _say("stopping")
    state.stopping.set()
    if not state.serving:
        work.cancel()


async def _mesh(state: State, *, once: bool, bare: bool) -> int:
    """Open everything, do the first steps, serve, close in the opposite order."""
    config = Config.read(os.environ, PROJECT)
    config.data.mkdir(mode=0o711, parents=True, exist_ok=True)  # PostgreSQL's user passes through
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(config.data))
        rotate(private_folder(config.logs))
        at = Addresses(socket_folder(config.run), config.http_base_port)
        end_leftovers(at.run)
        check_free(at.ports(config.gateway))
        secrets = Secrets(config.data / "secrets.json")
        _say(f"nautilus-mesh on {config.data}")
        stores = await stack.enter_async_context(open_stores(config, secrets, _say))
        for line in stores.said:
            _say(line)
        for specs in (services(config, stores, at), [gateway(config, at)]):
            await stack.enter_async_context(supervised(specs, at.run, config.logs, _say))
        failed = await first_steps(
            config,
            secrets,
            at.first_key,
            latch_url=latch_url(stores),
            once=once,
            bare=bare,
            say=_say,
        )
        ending = "(ends now, as asked)" if once else "(Ctrl-C stops it)"
        _say(f"mesh ready on http://{config.gateway}  {ending}")
        if once:
            return failed
        state.serving = True
        await state.stopping.wait()
    return 0


def _say(text: str) -> None:
    with suppress(BrokenPipeError):  # who listened is gone; that must not keep us from stopping
        print(text, flush=True)
