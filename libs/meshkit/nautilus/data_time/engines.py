"""The live engines without their queues: a message is handled where it is sent, as in a backtest.

A queue per engine, each with a task, would hand a tick's effects on in an order of its own, a turn
of the event loop later; in lockstep the effects of a tick must be over before the next.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from nautilus_trader.live.enqueue import ThrottledEnqueuer
from nautilus_trader.system.kernel import NautilusKernel


class Calls:
    """What the driver must know of the calls into a node's engines."""

    def __init__(self, kernel: NautilusKernel) -> None:
        self.thread = threading.get_ident()
        """The thread of the event loop; until the node starts, the one that makes it."""
        self.inside = False
        """Whether an engine is at work, so that what it sends is sent from within."""
        self.stopped = False
        """Whether the node takes no more data: a handler has raised, or it is being stopped."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """What clients were told to do, and may not have done yet; the driver takes it out."""
        self._engines = (kernel.data_engine, kernel.exec_engine)

    def command(self, handler: Callable[[Any], None], msg: Any) -> None:
        """Handle a command and keep the tasks that it makes clients start."""
        before = self._client_tasks()
        handler(msg)
        self.tasks |= self._client_tasks() - before

    def _client_tasks(self) -> set[asyncio.Task[Any]]:
        clients = (c for engine in self._engines for c in engine._clients.values())
        return {task for client in clients for task in getattr(client, "_tasks", ())}


class DirectEnqueuer(ThrottledEnqueuer[Any]):
    """Handles at once what it is to put on a queue.

    An exception that leaves a handler has the outcome that the engine is configured for
    (``graceful_shutdown_on_exception``), as with a queue. Messages of other threads are handled on
    the loop's.
    """

    def __init__(
        self,
        replaced: ThrottledEnqueuer[Any],
        handler: Callable[[Any], None],
        on_exception: Callable[[Exception, str], None],
        calls: Calls,
    ) -> None:
        super().__init__(
            replaced._qname, replaced._queue, replaced._loop, replaced._clock, replaced._log
        )
        self._handler = handler
        self._on_exception = on_exception
        self._calls = calls

    def enqueue(self, msg: Any) -> None:
        """Handle the message."""
        calls = self._calls
        if threading.get_ident() != calls.thread:
            self._loop.call_soon_threadsafe(self.enqueue, msg)
            return
        if calls.inside:
            self._handler(msg)  # an exception goes to the handler at the top, as in a backtest
            return
        calls.inside = True
        try:
            self._handler(msg)
        except Exception as error:
            calls.stopped = True
            self._on_exception(error, self._qname)
        finally:
            calls.inside = False


def make_direct(kernel: NautilusKernel) -> Calls:
    """Replace the queues of the data, risk and execution engines; return the calls' notes."""
    calls = Calls(kernel)
    data, risk, execution = kernel.data_engine, kernel.risk_engine, kernel.exec_engine
    for engine, queue, handler in (
        (data, "_cmd", partial(calls.command, data._execute_command)),
        (data, "_req", partial(calls.command, data._handle_request)),
        (data, "_res", data._handle_response),
        (data, "_data", data._handle_data),
        (risk, "_cmd", risk._execute_command),  # goes on to the execution engine
        (risk, "_evt", risk._handle_event),
        (execution, "_cmd", partial(calls.command, execution._execute_command)),
        (execution, "_evt", execution._handle_event_with_tracking),
    ):
        name = f"{queue}_enqueuer"
        on_exception = engine._handle_queue_exception
        direct = DirectEnqueuer(getattr(engine, name), handler, on_exception, calls)
        setattr(engine, name, direct)
    return calls
