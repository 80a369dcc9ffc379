"""Puts components into a trader, running or not, and takes them out again without a trace."""

from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.component import (
    deregister_component_clock,
    register_component_clock,
)
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.trading.strategy import Strategy

from services.live_execution.engine.strategies.doors import Door
from services.live_execution.engine.strategies.fuse import Fuse, Handler


class Registrar:
    """Registers components with the trader of a node's kernel."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._trader = kernel.trader
        self._bus = kernel.msgbus
        self._doors: dict[str, Door] = {}
        self._trader._has_controller = True  # it takes components while it runs, from us

    def register(self, made: Actor) -> None:
        """Register a component. Raises what Nautilus raises: an id or a claim that is taken."""
        if isinstance(made, Strategy):
            self._check_claims(made)
            self._trader.add_strategy(made)
        elif isinstance(made, ExecAlgorithm):
            self._add_algorithm(made)
        else:
            self._trader.add_actor(made)
        if self._trader.is_running:  # Nautilus does this itself only when it starts
            made.register_executor(self._kernel.loop, self._kernel.executor)

    def remove(self, made: Any, fuse: Fuse) -> None:
        """Take out a component that does not run; its orders and positions stay."""
        held, key = self._held(made), made.id
        if held.get(key) is made:
            del held[key]
        if isinstance(made, Strategy):
            self._forget_strategy(made)
        elif isinstance(made, ExecAlgorithm):
            self._doors[str(made.id)].made = None
        self.silence(made, fuse)
        clock = made.clock
        deregister_component_clock(self._trader.instance_id, clock)
        clock.cancel_default_handler()  # else the clock keeps the component for ever
        clock.cancel_callbacks()

    def silence(self, made: Actor, fuse: Fuse) -> None:
        """End subscriptions, endpoints and timers of a component.

        What the data engine gets for it goes on coming: simulated venues match on it, and
        positions that are left are valued by it.
        """
        for subscription in self._bus.subscriptions():
            if _of(subscription.handler, made, fuse):
                self._bus.unsubscribe(subscription.topic, subscription.handler)
        fuse.end()
        made.clock.cancel_timers()
        made.cancel_all_tasks()

    def _add_algorithm(self, made: ExecAlgorithm) -> None:
        """Add an execution algorithm; Nautilus itself adds none to a running trader."""
        trader = self._trader
        if made.id in trader._exec_algorithms:
            raise RuntimeError(f"There is an execution algorithm '{made.id}' already.")
        door = self._doors.get(str(made.id))
        if door is not None:
            self._bus.deregister(f"{made.id}.execute", door)
        clock = trader._clock.__class__()
        register_component_clock(trader.instance_id, clock)
        made.register(
            trader_id=trader.id,
            portfolio=trader._portfolio,
            msgbus=self._bus,
            cache=trader._cache,
            clock=clock,
        )
        trader._exec_algorithms[made.id] = made
        self._open(made)

    def _open(self, made: ExecAlgorithm) -> None:
        """Put a door before an algorithm; one that had its id before has left one."""
        endpoint = f"{made.id}.execute"
        door = self._doors.setdefault(str(made.id), Door(self._kernel, str(made.id)))
        door.made = made
        self._bus.deregister(endpoint, made.execute)
        self._bus.register(endpoint, door)

    def _check_claims(self, made: Strategy) -> None:
        """Refuse claims that are taken before anything is registered."""
        claims = self._kernel.exec_engine._external_order_claims
        for instrument_id in made.external_order_claims:
            if instrument_id in claims:
                taken = claims[instrument_id]
                raise ValueError(f"The claim on {instrument_id} is strategy {taken}'s already.")

    def _forget_strategy(self, made: Strategy) -> None:
        engine = self._kernel.exec_engine
        engine._oms_overrides.pop(made.id, None)
        for instrument_id in made.external_order_claims:
            if engine._external_order_claims.get(instrument_id) == made.id:
                del engine._external_order_claims[instrument_id]

    def _held(self, made: Actor) -> dict[Any, Any]:
        trader = self._trader
        if isinstance(made, Strategy):
            held = trader._strategies
        elif isinstance(made, ExecAlgorithm):
            held = trader._exec_algorithms
        else:
            held = trader._actors
        found: dict[Any, Any] = held
        return found


def _of(handler: Any, made: Actor, fuse: Fuse) -> bool:
    """Whether a handler of the message bus belongs to a component."""
    if isinstance(handler, Handler):
        return handler.belongs_to(fuse)
    return getattr(handler, "__self__", None) is made
