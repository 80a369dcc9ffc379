"""One trader at work: its node and the parts around it, put together, run and drained."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.events import PositionEvent
from nautilus_trader.model.identifiers import InstrumentId

from mesh.execution.v1 import trader_pb2 as pb
from meshkit.errors import MeshError
from meshkit.nautilus.data_time import DataTimeNode
from meshkit.nautilus.execution import to_fact
from meshnautilus.lockstep import TOPIC_ENDED
from services.live_execution.engine.capture import Capture
from services.live_execution.engine.clockwork import Clockwork
from services.live_execution.engine.commands import Commands
from services.live_execution.engine.desk import MANUAL, SAFETY, Desk
from services.live_execution.engine.flatten import Flattener
from services.live_execution.engine.following import Following
from services.live_execution.engine.gate import Gate
from services.live_execution.engine.halting import Halting, halted_tags
from services.live_execution.engine.health import Health
from services.live_execution.engine.intents import settle_unsent
from services.live_execution.engine.intents_forgotten import pass_over_forgotten
from services.live_execution.engine.intents_resolving import Pace, Resolver
from services.live_execution.engine.limits import Limits
from services.live_execution.engine.limits_watch import LimitWatch
from services.live_execution.engine.marks import Marks, last_known
from services.live_execution.engine.node import hedged_venues
from services.live_execution.engine.orders import Orders
from services.live_execution.engine.preview import Previewer
from services.live_execution.engine.remembering import Remembering
from services.live_execution.engine.reports import mend_reports, reduces_only
from services.live_execution.engine.restoring import restore
from services.live_execution.engine.sandbox import mend, revive
from services.live_execution.engine.settling import Settling
from services.live_execution.engine.snapshots import make
from services.live_execution.engine.starting import start
from services.live_execution.engine.states import States, Trouble
from services.live_execution.engine.strategies import DeskSweep, Strategies
from services.live_execution.engine.waiting import until
from services.live_execution.trader.ports import HaltNotice, Restored, Ticket

log = logging.getLogger("trader")

SAVE_S = 60.0
SNAPSHOT_S = 300.0
SNAPSHOT_FACTS = 50_000
"""A snapshot is made after so long, or after so many facts."""
SETTLE_S = 3.0
"""How long (s) a trader that stops waits for what its strategies have cancelled."""


class Running:
    """A trader: made of a node that is not built yet, then ``build``, ``start``, ``drain``."""

    def __init__(
        self,
        node: TradingNode,
        ticket: Ticket,
        spec: pb.TraderSpec,
        outside: Remembering,
        states: States,
    ) -> None:
        self.node, self.kernel = node, node.kernel
        self.outside, self.states = outside, states
        self._ticket, self._spec = ticket, spec
        self.pace = Pace()
        """When orders of unknown outcome are asked for."""
        self._snapshot_number = 0
        self._started = False
        # Before anybody else on the bus: what happens is journalled before it has effects.
        self._capture = Capture(self.kernel, outside)
        self._settling = Settling()
        self._real = {v.venue for v in spec.venues if v.WhichOneof("account") == "live"}
        self.desk = Desk(MANUAL, contingent=bool(self._real))
        self.safety = Desk(SAFETY, closing=self.desk.closing)
        self.limits = Limits(self.kernel, spec.risk)
        self.watch = LimitWatch(
            self.kernel, spec.risk, self.limits, outside, states, ticket.trader_id
        )
        self._gate = Gate(self.kernel, outside, self.limits, self.safety, self._settling.note)
        self.health = Health(self.kernel, states)
        self._marks = Marks(self.kernel, outside)
        self._clockwork: Clockwork | None = None

    def build(self, restored: Restored) -> None:
        """Build the clients and bring back what an earlier process knew."""
        self.node.build()
        mend(self.node)
        for client in self.kernel.exec_engine._clients.values():
            if client.id.value in self._real:
                mend_reports(client)
                if not reduces_only(client):
                    self.limits.lax.add(client.id.value)
        self.limits.real.update(self._real)
        self.limits.hedged.update(hedged_venues(self._spec))
        self._gate.install()
        self.kernel.msgbus.subscribe("events.order.*", self._settling.on_event)
        memory = restore(self.kernel, restored)
        self.outside.remember(memory, restored.number)
        self._snapshot_number = restored.snapshot_number
        self._capture.begin(memory)
        settle_unsent(self.kernel, memory, self._real)
        pass_over_forgotten(self.kernel, memory)
        # In safety mode there is no data: the sandboxes close at the last recorded prices.
        safe = self._ticket.safety_mode
        marks = last_known(self.kernel.cache, memory.marks) if safe else {}
        revive(self.node, memory.market, marks=marks)
        self._add_watch(restored)
        for desk in (self.desk, self.safety):
            self.node.trader.add_strategy(desk)
        self._add_strategies(memory)
        if isinstance(self.node, DataTimeNode):
            if memory.clock_ns:
                self.node.driver.go_on()
            # What strategies save never knows data that is played again.
            self._clockwork = Clockwork(self.node, self.outside, self.strategies.save_all)
            self.kernel.msgbus.subscribe(TOPIC_ENDED, self._on_replay_ended)
            self.states.data_time = self.kernel.clock.timestamp_ns
        self._add_callers(memory)

    def _add_watch(self, restored: Restored) -> None:
        self.kernel.msgbus.subscribe("events.position.*", self._marks.on_position)
        if self.watch.needed:
            self.watch.recall(restored)
            self.kernel.msgbus.subscribe("events.position.*", self._on_position)

    def _on_position(self, event: PositionEvent) -> None:
        fact = to_fact(event, self._ticket.trader_id)
        if fact is not None:
            self.watch.on_position(fact)
            _guarded("the limits", self.watch.look)

    def _add_strategies(self, memory: Any) -> None:
        components = () if self._ticket.safety_mode else self._ticket.components
        sweep = DeskSweep(self.safety)
        self.strategies = Strategies(
            self.node, components, self.outside, memory, self.states.tell, sweep
        )
        self.strategies.add_all()
        self.states.strategies = lambda: self.strategies.statuses(halted_tags(self.states.halts))

    def _add_callers(self, memory: Any) -> None:
        flattener = Flattener(self.node, self.safety, self.outside)
        self.halting = Halting(self.outside, flattener.run, memory.flattens)
        self.following = Following(self.kernel, self.desk)
        self.desk.first = self._follow
        venues = {venue.venue for venue in self._spec.venues}
        orders = Orders(self.kernel, self.desk, self._settling, venues, self.following.find)
        orders.doubtful = lambda key: key in memory.intents
        orders.real = self._real
        previewer = Previewer(self.kernel, orders, self._gate)
        self.outside.answer("preview", previewer.answer)
        self.commands = Commands(
            self.outside, orders, self.strategies, self.halting.flatten, memory.commands
        )

    def _follow(self) -> None:
        listed = map(InstrumentId.from_str, self._spec.data.instrument_ids)
        self.following.follow([*listed, *self.following.held()])

    async def start(self) -> Trouble | None:
        """Start the node; return why it did not start, None when it runs."""
        self.outside.on_halt(self._on_halts)
        failed = await start(self.node)
        self.watch.look()  # the day begins before its first fill
        self._started = True
        self.halting.on_halts(self.states.halts)
        self.outside.on_standing(self.health.on_standing)
        return failed

    async def resolve(self) -> None:
        """Look up orders whose outcome at a real venue is not known, for ever."""
        await Resolver(self.kernel, self.outside, self._real, self.pace).run()
        await asyncio.Event().wait()  # without real venues there is nothing to do

    async def keep(self) -> None:
        """Save, tell and snapshot at their intervals, for ever."""
        save_s = self._spec.save_interval.seconds or SAVE_S
        elapsed = 0.0
        while True:
            await asyncio.sleep(1.0)
            elapsed += 1.0
            _guarded("the prices", self._marks.tell)
            _guarded("the limits", self.watch.look)
            if self._clockwork is not None:
                self._clockwork.ask()  # it saves as well
            if elapsed % save_s < 1.0:
                if self._clockwork is None:
                    self.strategies.save_all()
                self.watch.keep()
            facts = self.outside.number - self._snapshot_number
            if facts > SNAPSHOT_FACTS or (facts and elapsed % SNAPSHOT_S < 1.0):
                self.snapshot()

    def snapshot(self) -> None:
        """Keep a snapshot of all there is now; without one a restore takes longer."""
        _guarded("a snapshot", self._snapshot)

    def _snapshot(self) -> None:
        if self.outside.memory is None or self.outside.number == self._snapshot_number:
            return
        self.watch.keep()
        self._snapshot_number = number = self.outside.number
        self.outside.snapshot(make(self.kernel, self.outside.memory), number)

    async def drain(self) -> None:
        """Stop strategies, save their states, let orders that are on their way settle, stop."""
        self.halting.stop()
        if self._clockwork is not None:
            await self._tell_clock(self._clockwork)
        else:
            self.strategies.save_all()
        self.watch.keep()
        if self.kernel.trader.is_running:
            self.kernel.trader.stop()
            if not await until(self._is_settled, SETTLE_S):
                log.warning("orders are still on their way as the trader stops")
        self._marks.tell()
        await self.kernel.stop_async()

    def _is_settled(self) -> bool:
        return not any(order.is_pending_cancel for order in self.kernel.cache.orders_open())

    async def _tell_clock(self, clockwork: Clockwork) -> None:
        """Have the clock told between two instants of the data, or where the data stands still."""
        clockwork.ask()
        assert isinstance(self.node, DataTimeNode)
        delivered = -1
        while self.node.driver.delivered != delivered and clockwork.armed:
            delivered = self.node.driver.delivered
            await asyncio.sleep(0.05)
        if clockwork.armed:
            clockwork.tell()

    def _on_halts(self, halts: Sequence[HaltNotice]) -> None:
        self.states.halted(halts)
        self.watch.on_halts(halts)
        if self._started:  # before, there is nobody to flatten with
            self.halting.on_halts(halts)

    def _on_replay_ended(self, how: object) -> None:
        if isinstance(how, Exception):
            text = f"The replay was interrupted: {how}"
            self.states.trouble("replay", Trouble("DATA_UNAVAILABLE", text))
            return
        if self._clockwork is not None:
            self._clockwork.tell()
        self.states.replay_ended = True
        self.states.tell()


def _guarded(what: str, action: Callable[[], None]) -> None:
    """Do something that the trader can go on without; only its journal it cannot."""
    try:
        action()
    except MeshError:
        raise
    except Exception:
        log.exception("a fault with %s", what)
