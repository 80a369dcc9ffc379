"""Events of sandboxes reach the execution engine when they happen, as in a backtest.

Nautilus queues them, so that its exchange, which expects them at once, sees orders as they were
before: brackets, OTO, OUO, IOC and FOK come out wrong, and rejections are made twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nautilus_trader.model.identifiers import Venue

from services.live_execution.engine.sandbox.client import Mended, Sandbox

ENDPOINT = "ExecEngine.process"


def sandboxes(node: Any) -> list[Any]:
    """Return the sandbox clients of a node that was built."""
    clients = node.kernel.exec_engine._clients.values()
    return [client for client in clients if isinstance(client, Mended)]


def mend(node: Any) -> None:
    """Mend the sandboxes of a node, after ``build`` and before it runs. Others stay as they are."""
    kernel, clients = node.kernel, sandboxes(node)
    engine = kernel.exec_engine
    at_once = {client.venue for client in clients if isinstance(client, Sandbox)}
    prompt = Prompt(engine, at_once, kernel.loop)
    kernel.msgbus.deregister(ENDPOINT, engine.process)
    kernel.msgbus.register(ENDPOINT, prompt.process)
    for client in clients:
        client.prompt = prompt
    _keep_held_orders(engine, {client.venue for client in clients})


class Prompt:
    """Hands events of some venues on at once, and others to the engine's queue.

    A node on data time has no queue, and needs none of them named.
    """

    def __init__(self, engine: Any, venues: set[Venue], loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._venues = venues
        self._loop = loop
        self._silent = False

    def process(self, event: Any) -> None:
        """Process an event."""
        if self._silent:
            return
        if event.instrument_id.venue in self._venues and self._on_loop():
            self._engine._handle_event_with_tracking(event)
        else:
            self._engine.process(event)

    def failed(self, error: Exception) -> None:
        """Do with an exception outside a queue as with one in it."""
        self._engine._handle_queue_exception(error, "sandbox")

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Drop all events: what is put back in its place has been told long ago."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def _on_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False


def _keep_held_orders(engine: Any, venues: set[Venue]) -> None:
    """Keep the engine from rejecting what a sandbox holds back until a parent is filled.

    It takes such an order, SUBMITTED for as long as the parent rests, for one that was lost on its
    way. On its way to a sandbox nothing is lost while the process lives.
    """
    resolve: Callable[[Any], None] = engine._resolve_inflight_order
    not_found: Callable[[Any], Awaitable[None]] = engine._resolve_order_not_found_at_venue

    def resolve_others(order: Any) -> None:
        if order.venue not in venues:
            resolve(order)
        else:
            engine._clear_recon_tracking(order.client_order_id)

    async def not_found_others(order: Any) -> None:
        if order.venue not in venues:
            await not_found(order)

    engine._resolve_inflight_order = resolve_others
    engine._resolve_order_not_found_at_venue = not_found_others
