"""The strategies of a trader: made, started, stopped, failed and removed each alone."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import msgspec
from nautilus_trader.common.component import Component as NautilusComponent
from nautilus_trader.common.enums import ComponentState

from mesh.execution.v1 import order_pb2
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.events_pb2 import StrategyFailed, StrategyStateSaved, TraderFact
from meshkit.times import to_timestamp
from services.live_execution.engine.refused import Refused
from services.live_execution.engine.strategies.aggregating import Aggregating
from services.live_execution.engine.strategies.entries import Entry
from services.live_execution.engine.strategies.failures import failure, said
from services.live_execution.engine.strategies.fuse import Fuse
from services.live_execution.engine.strategies.making import make
from services.live_execution.engine.strategies.naming import Instruments
from services.live_execution.engine.strategies.numbering import Numbers, go_on_counting
from services.live_execution.engine.strategies.registering import Registrar
from services.live_execution.engine.strategies.responses import Responses
from services.live_execution.engine.strategies.states import give, saved
from services.live_execution.engine.strategies.sweeping import Soon, Sweep
from services.live_execution.trader.ports import Component, Outside

LIVE = {ComponentState.STARTING, ComponentState.RUNNING, ComponentState.RESUMING}


class Remembered(Numbers, Protocol):
    """What the trader knows of strategies from its earlier processes, by instance id."""

    @property
    def strategy_states(self) -> Mapping[str, Mapping[str, bytes]]:
        """The last state of each that was saved."""

    @property
    def strategy_failures(self) -> Mapping[str, StrategyFailed]:
        """The failures of those that have not run since."""


class Strategies:
    """Components of a node. What raises is stopped alone; the node and the others go on.

    A component that was stopped or has failed is made anew when it is started: it gets what it
    saved by ``on_load``, then ``on_start``, exactly as after a restart of the process. Nautilus'
    ``resume`` calls neither, and ``reset`` leaves whatever an ``on_reset`` forgets.

    ``changed`` is called when the state of any has changed; ``sweep`` does with orders and
    positions what a policy or a command wants.
    """

    def __init__(
        self,
        node: Any,
        components: Iterable[Component],
        outside: Outside,
        memory: Remembered,
        changed: Callable[[], None],
        sweep: Sweep,
    ) -> None:
        self._kernel = node.kernel
        self._components = tuple(components)
        self._outside = outside
        self._memory = memory
        self._changed = changed
        self._sweep = sweep
        self._soon = Soon(node.kernel)
        self._registrar = Registrar(node.kernel)
        self._responses = Responses(node.kernel.data_engine, node.kernel.msgbus)
        self._responses.install()
        Aggregating(node.kernel.data_engine).install()
        self._instruments = Instruments(node.kernel)
        self._loading: set[asyncio.Task[None]] = set()
        self._entries: dict[str, Entry] = {}

    # -- commands

    def add_all(self) -> None:
        """Make all components that are not ``stopped``; the node starts them when it starts."""
        for component in self._components:
            entry = self._entries[component.order_id_tag] = Entry(component)
            if component.stopped:
                entry.become(pb.STRATEGY_STATE_STOPPED)
            else:
                self._make(entry)
            if entry.made is not None:
                self._instruments.when_connected(self._instruments.missing(entry.made))

    async def change(self, command: order_pb2.StrategyCommand) -> None:
        """Carry out a command of a caller. Raises ``Refused``."""
        tag = command.order_id_tag
        ends = {
            "cancel_orders": command.cancel_orders,
            "close_positions": command.close_positions,
        }
        match command.action:
            case order_pb2.STRATEGY_ACTION_ADD:
                self.add(msgspec.msgpack.decode(command.component, type=Component))
            case order_pb2.STRATEGY_ACTION_START:
                self.start(tag)
            case order_pb2.STRATEGY_ACTION_STOP:
                self.stop(tag, **ends)
            case order_pb2.STRATEGY_ACTION_REMOVE:
                self.remove(tag, **ends)

    def add(self, component: Component) -> None:
        """Add a component, or give a stopped or failed one another version or config.

        It is started unless it is ``stopped``. One that runs as it is asked for is left alone.
        Raises ``Refused`` for one that runs otherwise.
        """
        tag = component.order_id_tag
        known = self._entries.get(tag)
        if known is not None and known.running:
            if known.component == component:
                return
            raise Refused(
                "TRADER_SPEC_INVALID",
                f"Strategy '{tag}' runs. Stop it before it gets another version or config, or "
                "take another order id tag.",
            )
        entry = self._entries[tag] = self._renewed(known, component)
        if component.stopped:
            entry.become(pb.STRATEGY_STATE_STOPPED)
        else:
            self._begin(entry)
        self._changed()

    def start(self, tag: str) -> None:
        """Start a component that is stopped or has failed. Raises ``Refused`` when there is none.

        What goes wrong with it is in its status, and a fact.
        """
        entry = self._entries.get(tag)
        if entry is None:
            raise Refused(
                "TRADER_STRATEGY_NOT_FOUND",
                f"The trader has no strategy with the order id tag '{tag}'. GetTrader lists them.",
            )
        if entry.running:
            return
        self._entries[tag] = entry = self._renewed(entry, entry.component)
        self._begin(entry)
        self._changed()

    def stop(self, tag: str, *, cancel_orders: bool = False, close_positions: bool = False) -> None:
        """Stop a component and save its state; one that is not there is stopped already."""
        entry = self._entries.get(tag)
        if entry is None:
            return
        if entry.running:
            entry.made.stop()
        elif entry.state == pb.STRATEGY_STATE_PENDING:
            entry.become(pb.STRATEGY_STATE_STOPPED)
        if entry.instance_id and (cancel_orders or close_positions):
            self._sweep(entry.instance_id, close=close_positions)
        self._changed()

    def remove(
        self, tag: str, *, cancel_orders: bool = False, close_positions: bool = False
    ) -> None:
        """Stop a component, take it out and forget its state."""
        entry = self._entries.get(tag)
        if entry is None:
            return
        self.stop(tag, cancel_orders=cancel_orders, close_positions=close_positions)
        self._take_out(entry)
        if entry.saved:
            self._outside.record(self._keep(entry, {}))
        del self._entries[tag]
        self._changed()

    def save_all(self, *before: TraderFact) -> None:
        """Save the states of the components that run, those that have changed.

        ``before`` is recorded along, in front of them: on data time, how far it has come, so that
        no state knows of data that is played again.
        """
        running = [entry for entry in self._entries.values() if entry.running]
        facts = [fact for entry in running if (fact := self._changed_state(entry)) is not None]
        if before or facts:
            self._outside.record(*before, *facts)

    def statuses(self, halted: Collection[str] = ()) -> list[pb.TraderStrategyStatus]:
        """Return how each does; ``halted`` are tags whose orders a halt refuses."""
        return [entry.status(tag in halted) for tag, entry in self._entries.items()]

    # -- making and unmaking

    def _renewed(self, entry: Entry | None, component: Component) -> Entry:
        """Return a new entry in place of one whose instance is taken out."""
        made = Entry(component)
        if entry is not None:
            self._take_out(entry)
            made.saved, made.saved_ns = entry.saved, entry.saved_ns
            made.instance_id = entry.instance_id
        return made

    def _make(self, entry: Entry, again: bool = False) -> None:
        """Load, make and register; without ``again`` one that has failed before stays failed."""
        fuse = entry.fuse = Fuse(self, self._kernel.loop)
        known = entry.instance_id
        try:
            made = make(entry.component, fuse)
            entry.instance_id = str(made.id)
            if not again and self._still_failed(entry):
                return
            self._registrar.register(made)
            entry.made = made
        except BaseException as error:  # user code may raise anything, SystemExit included
            fuse.blown = True
            entry.instance_id = entry.instance_id or _likely_id(entry.component)
            self._fail(entry, "load", error)
            return
        if entry.instance_id != known:
            entry.saved = dict(self._memory.strategy_states.get(entry.instance_id, {}))
        entry.become(pb.STRATEGY_STATE_PENDING)

    def _still_failed(self, entry: Entry) -> bool:
        failed = self._memory.strategy_failures.get(entry.instance_id)
        if failed is None or failed.version != entry.component.version:
            return False
        message = f"{said(failed)}. It stays stopped until it is started by command."
        entry.become(pb.STRATEGY_STATE_FAILED, "STRATEGY_RAISED", message)
        return True

    def _begin(self, entry: Entry) -> None:
        self._make(entry, again=True)
        if entry.made is None or not self._kernel.trader.is_running:
            return
        if self._instruments.missing(entry.made):
            task = self._kernel.loop.create_task(self._load_and_start(entry))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        else:
            entry.made.start()

    async def _load_and_start(self, entry: Entry) -> None:
        made = entry.made
        await self._instruments.load(self._instruments.missing(made))
        pending = entry.state == pb.STRATEGY_STATE_PENDING
        if pending and entry.made is made and self._kernel.trader.is_running:
            made.start()

    def _take_out(self, entry: Entry) -> None:
        made, fuse = entry.made, entry.fuse
        if made is None or fuse is None:
            return
        if not fuse.blown:
            made.dispose()
        fuse.blown = True  # what still comes for it, from clocks or requests, is not run
        self._registrar.remove(made, fuse)
        entry.made = None

    # -- state

    def _changed_state(self, entry: Entry) -> TraderFact | None:
        """Return the state of a component to be recorded, None when it is as it was."""
        try:
            state = saved(entry.made)
        except BaseException as error:  # user code may raise anything, SystemExit included
            assert entry.fuse is not None  # it has an instance
            entry.fuse.blow("on_save", error)
            return None
        return None if state == entry.saved else self._keep(entry, state)

    def _keep(self, entry: Entry, state: Mapping[str, bytes]) -> TraderFact:
        """Note a state as saved and return the fact to be recorded at once."""
        entry.saved, entry.saved_ns = state, time.time_ns()
        fact = StrategyStateSaved(
            instance_id=entry.instance_id,
            state=state,
            ts=to_timestamp(self._kernel.clock.timestamp_ns()),
            version=entry.component.version,
        )
        return TraderFact(saved=fact)

    # -- what components come to (see ``Watcher``)

    def starting(self, made: Any) -> None:
        """Give a component what it has saved, right before it starts."""
        give(made, self._entry(made).saved)

    def numbering(self, made: Any) -> None:
        """Let a strategy number its orders so that no id comes twice."""
        go_on_counting(made, self._memory)

    def is_told(self, made: Any) -> bool:
        """Whether history that is being told now is the answer to its own request."""
        return self._responses.is_for(made)

    def started(self, made: Any) -> None:
        """Note that a component runs, or has stopped itself while it started."""
        entry = self._entry(made)
        if made.is_running:
            entry.become(pb.STRATEGY_STATE_RUNNING)
        else:
            entry.become(pb.STRATEGY_STATE_STOPPED, *self._why_not(made))
            tag = entry.component.order_id_tag
            self._kernel.logger.warning(f"Strategy '{tag}' does not run. {entry.message}")
        self._changed()

    def _why_not(self, made: Any) -> tuple[str, str]:
        """Return reason and message of a component that has stopped itself in its on_start."""
        text = "It stopped itself in on_start. The trader's log has what it says of that."
        missing = ", ".join(sorted(map(str, self._instruments.missing(made))))
        if not missing:
            return "", text
        return "INSTRUMENT_NOT_FOUND", f"{text} Its config names what the data lacks: {missing}."

    def stopped(self, made: Any) -> None:
        """Save the state of a component that has stopped, by command or by itself."""
        entry = self._entry(made)
        entry.become(pb.STRATEGY_STATE_STOPPED)
        fact = self._changed_state(entry)
        if fact is not None:
            self._outside.record(fact)
        self._changed()

    def raised(self, made: Any, entry_point: str, error: BaseException) -> None:
        """Stop a component whose code has raised."""
        entry = self._entry(made)
        self._fail(entry, entry_point, error)
        self._end(made, entry_point)
        assert entry.fuse is not None  # it is what has blown
        self._registrar.silence(made, entry.fuse)
        if entry.component.on_failure != "LEAVE":
            close = entry.component.on_failure == "FLATTEN"
            self._soon(lambda: self._sweep(entry.instance_id, close=close))

    def _fail(self, entry: Entry, entry_point: str, error: BaseException) -> None:
        fact = failure(entry.component, entry.instance_id, entry_point, error)
        self._outside.record(TraderFact(failed=fact))
        tag = entry.component.order_id_tag
        self._kernel.logger.error(f"Strategy '{tag}' has failed and is stopped. {said(fact)}")
        for line in fact.traceback:
            self._kernel.logger.error(f"  {line}")
        reason = "STRATEGY_LOAD_FAILED" if entry_point == "load" else "STRATEGY_RAISED"
        entry.become(pb.STRATEGY_STATE_FAILED, reason, said(fact))
        self._changed()

    def _end(self, made: Any, entry_point: str) -> None:
        """Bring a component to an end, with its ``on_stop`` and no other code of it."""
        try:
            if made.state in LIVE:
                NautilusComponent.stop(made)  # not the strategy's own, which may exit by orders
        except BaseException as error:  # user code may raise anything, SystemExit included
            self._kernel.logger.error(f"Its on_stop has raised too: {type(error).__name__}")
        if made.state == ComponentState.STOPPING:
            NautilusComponent.fault(made)

    def _entry(self, made: Any) -> Entry:
        return next(entry for entry in self._entries.values() if entry.made is made)


def _likely_id(component: Component) -> str:
    """Return the id that a component would have whose code could not be loaded."""
    name = component.class_name or component.importable_path.rpartition(":")[2]
    return f"{name or component.strategy_id}-{component.order_id_tag}"
