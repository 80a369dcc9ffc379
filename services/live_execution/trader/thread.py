"""The thread of the stores: an event loop that a busy strategy does not starve."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

import uvloop

_SWITCH_S = 0.0005
"""How long a thread that computes keeps the others waiting: a lease or a fact does not wait for
the 5 ms of Python's default."""


class StoreThread:
    """Runs coroutines and callbacks from the engine's loop on another thread's loop."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="stores", daemon=True)
        self.loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Self:
        sys.setswitchinterval(_SWITCH_S)
        self._thread.start()
        self._started.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        await asyncio.to_thread(self._thread.join)

    async def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return its result here; cancelled there when cancelled here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Call a function there, soon."""
        self.loop.call_soon_threadsafe(function, *args)

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._started.set()
        await self._stop.wait()
