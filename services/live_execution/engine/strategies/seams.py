"""The seam of history and live data of one component, where others hear the data already.

The data client sees to the seam of a channel that nobody hears yet. Where it flows, a component
that asks for its history up to now would hear live rows before or amid it, or, subscribing after
the answer, miss those in between. So they are held for it alone from the request on until it is
answered.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nautilus_trader.common.component import MessageBus
from nautilus_trader.common.data_topics import TopicCache
from nautilus_trader.core.data import Data
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import Bar, QuoteTick

from meshnautilus.seam import Seam
from services.live_execution.engine.strategies.fuse import Fuse

BOUND_S = 30.0
"""How long (s) live rows are held for an answer; some adapters never give one."""

_topics = TopicCache()
_of: dict[str, Callable[[Any], Any]] = {
    "bar": _topics.get_bars_topic,
    "quote_tick": _topics.get_quotes_topic,
    "trade_tick": _topics.get_trades_topic,
}
REQUESTS = {
    "request_bars": "bar",
    "request_aggregated_bars": "bar",
    "request_quote_ticks": "quote_tick",
    "request_trade_ticks": "trade_tick",
}
RESPONSES = {
    "_handle_bars_response",
    "_handle_aggregated_bars_response",
    "_handle_quote_ticks_response",
    "_handle_trade_ticks_response",
}


@dataclass
class Held:
    """Live rows of a topic that are held for an answer."""

    topic: str
    handler: str
    seam: Seam = field(default_factory=Seam)

    def collect(self, row: Data) -> None:
        """Hold a live row."""
        self.seam.hold([row])


class Seams:
    """The open seams of a component, by request."""

    def __init__(self, fuse: Fuse) -> None:
        self.open: dict[Any, list[Held]] = {}
        self._fuse = fuse

    def begin(self, bus: MessageBus, request_id: Any, kind: str, whats: Iterable[Any]) -> None:
        """Hold live rows of what is about to be asked for."""
        held = [Held(str(_of[kind](what)), f"handle_{kind}") for what in whats]
        for each in held:
            bus.subscribe(each.topic, each.collect)
        self.open[request_id] = held
        self._fuse.endings[str(request_id)] = partial(self._forget, bus, request_id)
        self._fuse.later(BOUND_S, lambda: self.end(bus, request_id))

    def holds(self, row: Data) -> bool:
        """Whether a live row is held."""
        topic = _topic(row)
        return any(each.topic == topic for held in self.open.values() for each in held)

    def told(self, row: Data) -> None:
        """Note a row of an answer."""
        topic = _topic(row)
        for held in self.open.values():
            for each in held:
                if each.topic == topic:
                    each.seam.known.append(row)

    def end(self, bus: MessageBus, request_id: Any) -> None:
        """Tell the rows that an answer had not, if the component has subscribed to them."""
        component = self._fuse.component
        for each in self._close(bus, request_id):
            handler = getattr(component, each.handler)
            if bus.is_subscribed(each.topic, handler):
                for row in each.seam.rest():
                    handler(row)

    def _forget(self, bus: MessageBus, request_id: Any) -> None:
        self._close(bus, request_id)

    def _close(self, bus: MessageBus, request_id: Any) -> list[Held]:
        held = self.open.pop(request_id, [])
        self._fuse.endings.pop(str(request_id), None)
        for each in held:
            bus.unsubscribe(each.topic, each.collect)
        return held


def _topic(row: Data) -> str:
    if isinstance(row, Bar):
        return str(_topics.get_bars_topic(row.bar_type))
    kind = "quote_tick" if isinstance(row, QuoteTick) else "trade_tick"
    return str(_of[kind](row.instrument_id))


def with_seams(component: type, body: dict[str, Any], fuse: Fuse, bus: Any) -> dict[str, Any]:
    """Return methods of a guard that see to seams; ``bus`` returns the component's message bus."""
    seams = Seams(fuse)
    made = {name: _request(component, name, seams, bus) for name in REQUESTS}
    made |= {name: _response(body[name], seams, bus) for name in RESPONSES}
    for kind in _of:
        made[f"handle_{kind}"] = _live(body[f"handle_{kind}"], seams)
        old = f"handle_historical_{kind}"
        made[old] = _historical(body[old], seams, fuse)
    return made


def _request(component: type, name: str, seams: Seams, bus: Any) -> Callable[..., Any]:
    original = getattr(component, name)

    def request(self: Any, what: Any, start: Any, end: Any = None, *args: Any, **named: Any) -> Any:
        if end is not None or len(args) > 3:  # not to now, or a request id by position
            return original(self, what, start, end, *args, **named)
        request_id = named.setdefault("request_id", None) or UUID4()
        named["request_id"] = request_id
        whats = [each.standard() for each in what] if isinstance(what, list) else [what]
        seams.begin(bus(self), request_id, REQUESTS[name], whats)
        try:
            return original(self, what, start, end, *args, **named)
        except BaseException:
            seams.end(bus(self), request_id)
            raise

    return request


def _response(inner: Callable[..., None], seams: Seams, bus: Any) -> Callable[..., None]:
    def response(self: Any, answer: Any) -> None:
        inner(self, answer)
        if answer.correlation_id in seams.open:
            seams.end(bus(self), answer.correlation_id)

    return _named_as(inner, response)


def _live(inner: Callable[..., None], seams: Seams) -> Callable[..., None]:
    def live(self: Any, row: Any, *historical: Any) -> None:
        if not seams.open or historical or not seams.holds(row):
            inner(self, row, *historical)

    return _named_as(inner, live)


def _historical(inner: Callable[..., None], seams: Seams, fuse: Fuse) -> Callable[..., None]:
    def historical(self: Any, row: Any) -> None:
        if seams.open and fuse.is_told(self):
            seams.told(row)
        inner(self, row)

    return _named_as(inner, historical)


def _named_as(inner: Any, outer: Any) -> Callable[..., None]:
    outer.__name__, outer.__qualname__ = inner.__name__, inner.__qualname__
    outer.fused = True  # as in the guard
    made: Callable[..., None] = outer
    return made
