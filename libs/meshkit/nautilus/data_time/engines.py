"""The live engines without their queues: a message is handled where it is sent, as in a backtest.

A queue per engine, each with a task, would hand a tick's effects on in an order of its own, a turn
of the event loop later; in lockstep the effects of a tick must be over before the next.
"""

import threading
from collections.abc import Callable
from typing import Any

from nautilus_trader.live.enqueue import ThrottledEnqueuer
from nautilus_trader.system.kernel import NautilusKernel


class Calls:
    """What the driver must know of the calls into the engines."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.inside = False
        """Whether an engine is at work, so that what it sends is sent from within."""
        self.commanded = False
        """Whether a command or request was handled; the driver sets it back."""
        self.failed = False
        """Whether a handler has raised: the node is stopping, or the process has ended."""


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
        is_command: bool,
    ) -> None:
        super().__init__(
            replaced._qname, replaced._queue, replaced._loop, replaced._clock, replaced._log
        )
        self._handler = handler
        self._on_exception = on_exception
        self._calls = calls
        self._is_command = is_command

    def enqueue(self, msg: Any) -> None:
        """Handle the message."""
        calls = self._calls
        if threading.get_ident() != calls.thread:
            self._loop.call_soon_threadsafe(self.enqueue, msg)
            return
        if self._is_command:
            calls.commanded = True
        if calls.inside:
            self._handler(msg)  # an exception goes to the handler at the top, as in a backtest
            return
        calls.inside = True
        try:
            self._handler(msg)
        except Exception as error:
            calls.failed = True
            self._on_exception(error, self._qname)
        finally:
            calls.inside = False


def make_direct(kernel: NautilusKernel) -> Calls:
    """Replace the queues of the data, risk and execution engines; return the calls' notes."""
    calls = Calls()
    data, risk, execution = kernel.data_engine, kernel.risk_engine, kernel.exec_engine
    for engine, queue, handler in (
        (data, "_cmd", data._execute_command),
        (data, "_req", data._handle_request),
        (data, "_res", data._handle_response),
        (data, "_data", data._handle_data),
        (risk, "_cmd", risk._execute_command),
        (risk, "_evt", risk._handle_event),
        (execution, "_cmd", execution._execute_command),
        (execution, "_evt", execution._handle_event_with_tracking),
    ):
        name = f"{queue}_enqueuer"
        on_exception = engine._handle_queue_exception
        is_command = queue in ("_cmd", "_req")
        replaced = getattr(engine, name)
        setattr(engine, name, DirectEnqueuer(replaced, handler, on_exception, calls, is_command))
    return calls
