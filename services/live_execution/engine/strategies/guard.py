"""A component's class → the same with a fuse in every way into its code.

Nautilus ends the whole process when an exception leaves a handler, and swallows some silently. The
ways in are the methods that the engines, the message bus, clocks and the trader call; the guard
overrides them in a subclass of the same name, so that ids and logs stay. Each was found by
experiment: see the cases EX-80 to EX-84.
"""

import types
from collections.abc import Callable
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.component import Clock, MessageBus
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.trading.strategy import Strategy

from services.live_execution.engine.strategies.fuse import Fuse, Handler
from services.live_execution.engine.strategies.seams import with_seams

SWALLOWED = ("on_instrument",)
"""Handlers whose exceptions Nautilus logs and forgets: their own fuse sees them."""
INNER = (
    "_handle_indicators_for_bar",
    "_handle_indicators_for_quote",
    "_handle_indicators_for_trade",
)
"""Called by other ``_handle_*`` methods alone."""
LIFE = ("resume", "reset", "dispose", "degrade", "fault", "market_exit", "_expire_gtd_order")
ENDING = ("stop", "_check_market_exit")
"""Methods after which a component may have stopped."""
IN_THREADS = ("run_in_executor", "queue_for_executor")


def guarded(component: type, fuse: Fuse) -> type:
    """Return a subclass of a component's class with a fuse. One class has one instance."""
    base = next(each for each in (Strategy, ExecAlgorithm, Actor) if issubclass(component, each))
    body: dict[str, Any] = {name: _entry(component, name, fuse) for name in _entries(base)}
    body |= {name: _historical(component, name, fuse) for name in dir(base) if _is_old(name)}
    body |= {name: _ending(component, name, fuse) for name in ENDING if hasattr(base, name)}
    body |= {name: _in_thread(component, name, fuse) for name in IN_THREADS}
    body |= with_seams(component, body, fuse, component._msgbus.__get__)  # type: ignore[attr-defined]  # every component has one
    body["start"] = _start(component, fuse)
    body["register_base"] = _register_base(component, fuse)
    body["on_fault"] = _unless_blown(component, "on_fault", fuse)
    body |= {name: _bus(component, name, fuse) for name in ("msgbus", "_msgbus")}
    if base is Strategy:
        body["on_start"] = _on_start(component, fuse)
    body |= {name: getattr(component, name) for name in ("__module__", "__qualname__", "__doc__")}
    return types.new_class(component.__name__, (component,), exec_body=lambda ns: ns.update(body))


def _entries(base: type) -> list[str]:
    """Return the methods by which Nautilus enters a component, as its own classes have them."""
    names = dir(base)
    entries = [n for n in names if n.startswith("handle_") and not _is_old(n)]
    entries += [n for n in names if n.startswith("_handle_") and n not in INNER]
    entries += [n for n in (*LIFE, *SWALLOWED, "on_market_exit", "post_market_exit") if n in names]
    if base is ExecAlgorithm:
        # Its event handler is a C function that cannot be overridden: what that calls can.
        entries += ["execute", *(n for n in names if n.startswith(("on_order", "on_position")))]
        entries.append("on_event")
    return entries


def _entry(component: type, name: str, fuse: Fuse) -> Callable[..., None]:
    original = getattr(component, name)

    def entry(self: Any, *args: Any) -> None:
        if fuse.blown:
            return
        try:
            original(self, *args)
        except BaseException as error:  # user code may raise anything, SystemExit included
            fuse.blow(name, error)

    entry.__name__ = name
    entry.__qualname__ = f"{component.__qualname__}.{name}"
    entry.fused = True  # type: ignore[attr-defined]  # a mark for the message bus, below
    return entry


def _is_old(name: str) -> bool:
    return name.startswith("handle_historical_")


def _historical(component: type, name: str, fuse: Fuse) -> Callable[..., None]:
    """Return an entry for rows of an answer, which everybody hears who waits for one."""
    inner = _entry(component, name, fuse)

    def historical(self: Any, data: Any) -> None:
        if fuse.is_told(self):
            inner(self, data)

    historical.__qualname__ = f"{component.__qualname__}.{name}"
    historical.fused = True  # type: ignore[attr-defined]  # as in _entry
    return historical


def _ending(component: type, name: str, fuse: Fuse) -> Callable[..., None]:
    original = getattr(component, name)

    def ending(self: Any, *args: Any) -> None:
        live = not self.is_stopped
        fuse.call(name, original, self, *args)
        if live and self.is_stopped:
            fuse.stopped(self)

    return ending


def _in_thread(component: type, name: str, fuse: Fuse) -> Callable[..., Any]:
    original = getattr(component, name)

    def in_thread(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def task(*task_args: Any, **task_kwargs: Any) -> Any:
            try:
                return func(*task_args, **task_kwargs)
            except BaseException as error:
                fuse.blow(getattr(func, "__name__", name), error)
                raise  # so that the task has failed as well

        task.__name__ = getattr(func, "__name__", name)
        return original(self, task, *args, **kwargs)

    return in_thread


def _start(component: type, fuse: Fuse) -> Callable[[Any], None]:
    original: Any = component.start  # type: ignore[attr-defined]  # every component has it

    def start(self: Any) -> None:
        fuse.call("on_load", fuse.starting, self)
        fuse.call("on_start", original, self)
        fuse.started(self)

    return start


def _on_start(component: type, fuse: Fuse) -> Callable[[Any], None]:
    original: Any = component.on_start  # type: ignore[attr-defined]  # every strategy has it

    def on_start(self: Any) -> None:
        fuse.numbering(self)
        original(self)

    return on_start


def _unless_blown(component: type, name: str, fuse: Fuse) -> Callable[[Any], None]:
    original = getattr(component, name)

    def unless_blown(self: Any) -> None:
        if not fuse.blown:
            original(self)

    return unless_blown


# -- what a component is registered with ----------------------------------------------------------


def _register_base(component: type, fuse: Fuse) -> Callable[..., None]:
    original: Any = component.register_base  # type: ignore[attr-defined]  # every component has it

    def register_base(
        self: Any, portfolio: Any, msgbus: MessageBus, cache: Any, clock: Clock
    ) -> None:
        fuse.component = self
        original(self, portfolio, msgbus, cache, _clock(clock, fuse))

    return register_base


def _clock(clock: Clock, fuse: Fuse) -> Clock:
    """Return a clock like the one given, whose callbacks have the fuse."""
    kind = type(clock)

    def wrap(callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
        return None if callback is None else Handler(fuse, "timer", callback)

    def register_default_handler(self: Any, callback: Callable[..., Any]) -> None:
        kind.register_default_handler(self, Handler(fuse, "on_event", callback))

    def set_time_alert_ns(
        self: Any, name: str, alert_time_ns: int, callback: Any = None, allow_past: bool = True
    ) -> None:
        kind.set_time_alert_ns(self, name, alert_time_ns, wrap(callback), allow_past)

    def set_timer_ns(
        self: Any,
        name: str,
        interval_ns: int,
        start_time_ns: int,
        stop_time_ns: int,
        callback: Any = None,
        allow_past: bool = True,
        fire_immediately: bool = False,
    ) -> None:
        times = interval_ns, start_time_ns, stop_time_ns
        kind.set_timer_ns(self, name, *times, wrap(callback), allow_past, fire_immediately)

    methods = (register_default_handler, set_time_alert_ns, set_timer_ns)
    body = {method.__name__: method for method in methods}
    made: Clock = type(kind.__name__, (kind,), body)()
    return made


def _bus(component: type, name: str, fuse: Fuse) -> property:
    """Return the attribute with the message bus: Nautilus' own code does not see this one."""
    original = getattr(component, name)
    made: list[_Bus] = []

    def bus(self: Any) -> _Bus | None:
        if not made and (found := original.__get__(self)) is not None:
            made.append(_Bus(found, fuse))
        return made[0] if made else None

    return property(bus)


class _Bus:
    """The message bus as a component sees it: what it leaves there has the fuse."""

    __slots__ = ("_bus", "_fuse")

    def __init__(self, bus: MessageBus, fuse: Fuse) -> None:
        self._bus = bus
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    def _wrap(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        fused = getattr(handler, "fused", False)  # a bound method of the guard
        return handler if fused else Handler(self._fuse, "message", handler)

    def subscribe(self, topic: str, handler: Callable[..., Any], priority: int = 0) -> None:
        self._bus.subscribe(topic, self._wrap(handler), priority)

    def unsubscribe(self, topic: str, handler: Callable[..., Any]) -> None:
        self._bus.unsubscribe(topic, self._wrap(handler))

    def is_subscribed(self, topic: str, handler: Callable[..., Any]) -> bool:
        return bool(self._bus.is_subscribed(topic, self._wrap(handler)))

    def register(self, endpoint: str, handler: Callable[..., Any]) -> None:
        wrapped = self._wrap(handler)
        self._bus.register(endpoint, wrapped)
        self._fuse.endings[endpoint] = lambda: self._bus.deregister(endpoint, wrapped)

    def deregister(self, endpoint: str, handler: Callable[..., Any]) -> None:
        self._bus.deregister(endpoint, self._wrap(handler))
        self._fuse.endings.pop(endpoint, None)
