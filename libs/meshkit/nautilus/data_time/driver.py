"""Plays data into a node on data time, one object after the other.

An object is delivered when the one before is done: its time events, its handlers in the data, risk
and execution engines and in strategies, its orders at sandbox venues. That needs no turn of the
event loop, so a tick costs what it costs in a backtest. The loop gets a turn every few
milliseconds, and whenever a client's command is in the air (see ``play``).
"""

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any

from nautilus_trader.common.component import Clock
from nautilus_trader.core.data import Data

from meshkit.nautilus.data_time.clock import DataTimeError, Timeline, timeline_of
from meshkit.nautilus.data_time.engines import Calls
from meshkit.nautilus.data_time.pace import Pace
from meshkit.nautilus.data_time.sandbox import DataTimeSandbox, Venues

TURN_S = 0.005
"""How long (s) data is delivered before the event loop gets a turn."""
COMMAND_TIMEOUT_S = 30.0
"""How long (s) a client's command may hold up the data."""


class NodeNotStarted(DataTimeError):
    """The node did not come up, so there is nobody to play to."""


class DataTimeDriver:
    """The one that moves a node's time. Get it as ``node.driver`` or with ``driver_of(clock)``."""

    def __init__(self, kernel: Any, timeline: Timeline, calls: Calls) -> None:
        self._kernel = kernel
        self._timeline = timeline
        self._calls = calls
        self._venues: Venues | None = None
        self._started = asyncio.Event()
        self._playing = False
        self._stepping = False
        self._stepped = False
        self.delivered = 0
        """Objects that were delivered so far."""

    @property
    def now_ns(self) -> int:
        """The node's time (UNIX ns)."""
        return self._timeline.now_ns

    @property
    def running(self) -> bool:
        """Whether the node takes data: it has started, and was not stopped by anything since."""
        return self._kernel.trader.is_running and not self._calls.stopped

    async def ready(self) -> None:
        """Wait until strategies have started and clients have done what these asked for.

        After it, a data client knows all subscriptions made in ``on_start``. Raises
        ``NodeNotStarted``.
        """
        await self._started.wait()
        if not self._kernel.trader.is_running:
            raise NodeNotStarted(
                "The node did not start: a client did not connect in time, or its state could not "
                "be reconciled. The node's log says which."
            )
        await self._commands_done()

    async def play(
        self,
        batches: AsyncIterable[Sequence[Data]],
        deliver: Callable[[Data], None],
        pace: Pace | None = None,
    ) -> int:
        """Play data in order of ``ts_init`` and return how many objects were delivered.

        ``batches`` gives any number of objects at a time; ``deliver`` is the data client's
        ``_handle_data``. Objects of equal time are delivered in the order given; one that is
        earlier than the node's time is delivered without moving the clocks, as in a backtest.
        It starts when the node is ``ready``, and ends with the data or when the node stops
        (``running``). At the end of the data, time stands at the last object: ``advance_to`` moves
        it on. With a ``pace`` objects and timers wait for their time; without, nothing waits.

        What it waits for before the next object: the engines' messages, all handlers, orders at
        sandbox venues, and tasks of data and execution clients started by a command (subscribe,
        request, submit), at most ``COMMAND_TIMEOUT_S``. Not tasks or threads that a strategy
        starts by itself: these run at the wall's time.

        Raises ``NodeNotStarted``, ``DataTimeError`` while something else plays, and what
        ``batches`` raises.
        """
        if self._playing:
            raise DataTimeError("Data is being played already. Merge the sources into one.")
        self._playing = True
        before = self.delivered
        try:
            await self.ready()
            async for batch in batches:
                if not await self._play_batch(batch, deliver, pace):
                    break
            else:
                self._step_time(self._timeline.finish_instant)
            return self.delivered - before
        finally:
            self._playing = False

    def go_on(self) -> None:
        """Settle orders that come before the first row: sandboxes know their market already."""
        self._stepped = True

    def advance_to(self, ts_ns: int) -> None:
        """Run time on to ``ts_ns`` without data, with the events up to and at it."""
        self._step_time(lambda: self._timeline.advance(ts_ns))
        self._step_time(self._timeline.finish_instant)

    @property
    def next_event_ns(self) -> int:
        """The time (UNIX ns) of the next time event; past all data when no timer is set."""
        return self._timeline.next_event_ns

    async def run_next_events(self) -> int:
        """Run the events of ``next_event_ns`` and what clients do on their command; return it.

        For a source of ``play`` that chooses what comes next by what timers have subscribed to.
        """
        ts_ns = self._timeline.next_event_ns
        self.advance_to(ts_ns)
        if self._calls.tasks:
            await self._commands_done()
        return ts_ns

    async def _play_batch(
        self, batch: Sequence[Data], deliver: Callable[[Data], None], pace: Pace | None
    ) -> bool:
        turn_at = time.monotonic() + TURN_S
        for data in batch:
            if pace is not None and not await self._released(pace, data.ts_init):
                return False
            self._step(data, deliver)
            if self._calls.tasks:
                await self._commands_done()
            if self._calls.stopped:
                return False
            if time.monotonic() > turn_at:
                await asyncio.sleep(0)
                if not self.running:
                    return False
                turn_at = time.monotonic() + TURN_S
        return self.running

    def _step(self, data: Data, deliver: Callable[[Data], None]) -> None:
        self._stepping = self._stepped = True
        try:
            ts_ns = data.ts_init
            self._timeline.advance(ts_ns)
            venues = self._venues
            if venues is None:
                deliver(data)
            else:
                venues.feed(data)
                deliver(data)
                venues.settle(ts_ns)
            self.delivered += 1
        except Exception as error:
            self._fail(error)
        finally:
            self._stepping = False

    def _step_time(self, step: Callable[[], None]) -> None:
        self._stepping = True
        try:
            step()
        except Exception as error:
            self._fail(error)
        finally:
            self._stepping = False

    def _fail(self, error: Exception) -> None:
        """Do with an exception of a timer's handler or a venue as with one of a data handler."""
        self._calls.stopped = True
        self._kernel.data_engine._handle_queue_exception(error, "data_time")

    async def _released(self, pace: Pace, ts_ns: int) -> bool:
        """Wait until data of this time is due, with the timers of the time in between.

        Returns False when the node stops first.
        """
        while not pace.due(ts_ns):
            event_ns = min(self._timeline.next_event_ns, ts_ns)
            await pace.until(event_ns)
            if not self.running:
                return False
            if event_ns < ts_ns and pace.position_ns >= event_ns:
                self.advance_to(event_ns)
        return True

    async def _commands_done(self) -> None:
        """Wait for what clients do on command; what outlives the bound is left to itself."""
        tasks, mine = self._calls.tasks, asyncio.current_task()
        tasks.discard(mine)  # the player may itself be what a command has started
        while tasks:
            waited_for = set(tasks)
            _, late = await asyncio.wait(waited_for, timeout=COMMAND_TIMEOUT_S)
            tasks -= waited_for
            for task in late:
                name = task.get_name()
                self._kernel.logger.warning(f"Data goes on; a client has not finished '{name}'")

    def _on_venue_command(self) -> None:
        """Settle what comes from outside a step; before the first step there is no market yet."""
        if self._stepped and not self._stepping:
            self._kernel.loop.call_soon(self._settle_outside)

    def _settle_outside(self) -> None:
        self._step_time(lambda: self._timeline.settle(self._timeline.now_ns))

    # -- for the node ------------------------------------------------------------------------------

    def use_sandboxes(self, clients: Sequence[DataTimeSandbox]) -> None:
        """Feed and settle the node's sandboxes, of which there is at least one."""
        self._venues = Venues(clients, self._on_venue_command)
        self._timeline.settle = self._venues.settle

    def node_started(self) -> None:
        """Note that the node's start has ended, well or not."""
        self._started.set()


def driver_of(clock: Clock) -> DataTimeDriver:
    """Return the driver of the node that a client's clock belongs to.

    Raises ``DataTimeError`` where the node runs on the wall's time.
    """
    driver = timeline_of(clock).driver
    assert isinstance(driver, DataTimeDriver)  # its node gives every timeline one
    return driver
