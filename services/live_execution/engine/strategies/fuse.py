"""What stands between a component's code and the engines: it blows at the first exception."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Watcher(Protocol):
    """Who is told what becomes of a component."""

    def starting(self, component: Any) -> None:
        """Called before it starts. What this raises counts as its own."""

    def numbering(self, component: Any) -> None:
        """Called when its order ids are counted, right before its ``on_start``."""

    def started(self, component: Any) -> None:
        """Called when its start is over; it may have stopped itself in it."""

    def is_told(self, component: Any) -> bool:
        """Whether history that is being told now is the answer to its own request."""

    def stopped(self, component: Any) -> None:
        """Called when it has stopped, by a command or by itself."""

    def raised(self, component: Any, entry: str, error: BaseException) -> None:
        """Called once, with the first exception that left its code; ``entry`` is where."""


class Fuse:
    """Belongs to one component. Once blown, nothing more of its code is run but ``on_stop``.

    Nautilus' live clocks call timers on threads of their own, where an exception is lost and the
    message bus must not be used: ``here`` brings such a call to the engine's thread.
    """

    def __init__(self, watcher: Watcher, loop: asyncio.AbstractEventLoop) -> None:
        self.blown = False
        self._watcher = watcher
        self._loop = loop
        self._thread = threading.get_ident()
        self.component: Any = None
        self.endings: dict[str, Callable[[], None]] = {}
        """What ends what it has left elsewhere: endpoints of the message bus."""

    @property
    def here(self) -> bool:
        """Whether this is the engine's thread."""
        return threading.get_ident() == self._thread

    def blow(self, entry: str, error: BaseException) -> None:
        """Stop the component for an exception that left its code."""
        if not self.here:
            self._loop.call_soon_threadsafe(self.blow, entry, error)
            return
        if self.blown:
            return
        self.blown = True
        self._watcher.raised(self.component, entry, error)

    def starting(self, component: Any) -> None:
        """Tell that it is about to start."""
        self._watcher.starting(component)

    def numbering(self, component: Any) -> None:
        """Tell that its order ids have been counted."""
        self._watcher.numbering(component)

    def is_told(self, component: Any) -> bool:
        """Ask whether history is its own."""
        return self._watcher.is_told(component)

    def started(self, component: Any) -> None:
        """Tell that its start is over."""
        if not self.blown:
            self._watcher.started(component)

    def stopped(self, component: Any) -> None:
        """Tell that it has stopped."""
        if not self.blown:
            self._watcher.stopped(component)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something some seconds of the wall later."""
        self._loop.call_later(seconds, action)

    def end(self) -> None:
        """End what the component has left elsewhere."""
        while self.endings:
            self.endings.popitem()[1]()

    def call(self, entry: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call code of the component; None when it raises, or has raised before."""
        if self.blown:
            return None
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # user code may raise anything, SystemExit included
            self.blow(entry, error)
            return None

    def soon(self, entry: str, function: Callable[..., Any], *args: Any) -> None:
        """Call code of the component on the engine's thread, now when this is it."""
        if self.here:
            self.call(entry, function, *args)
        else:
            self._loop.call_soon_threadsafe(self.call, entry, function, *args)


class Handler:
    """A callable of the component that is kept elsewhere: in a clock, in the message bus.

    Equal to another of the same callable, so that it can be unsubscribed.
    """

    __slots__ = ("_entry", "_fuse", "inner")

    def __init__(self, fuse: Fuse, entry: str, inner: Callable[..., Any]) -> None:
        self._fuse = fuse
        self._entry = entry
        self.inner = inner

    def __call__(self, *args: Any) -> None:
        """Call it on the engine's thread."""
        self._fuse.soon(self._entry, self.inner, *args)

    def belongs_to(self, fuse: Fuse) -> bool:
        """Whether it is of the fuse's component."""
        return self._fuse is fuse

    def __eq__(self, other: object) -> bool:
        return self.inner == (other.inner if isinstance(other, Handler) else other)

    def __hash__(self) -> int:
        return hash(self.inner)

    def __str__(self) -> str:
        return str(self.inner)  # the message bus hashes handlers by it
