"""Who has asked for the history that is being told.

Nautilus tells the rows of an answer on a topic that everybody hears who waits for an answer about
the same: two strategies that warm up at the same time would both get all rows twice, and bars that
are made of them would go back in time, which ends the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nautilus_trader.common.component import MessageBus
from nautilus_trader.data.aggregation import BarAggregator


class Responses:
    """Knows whose answer a data engine is telling."""

    def __init__(self, engine: Any, bus: MessageBus) -> None:
        self._engine = engine
        self._bus = bus
        self._handle = engine._handle_response
        self._asked: tuple[Any, ...] = ()
        self._parents = (
            engine._request_group_parent_request_id,
            engine._parent_request_id,
            engine._parent_long_request_id,
            engine._parent_join_request_id,
        )

    def install(self) -> None:
        """Stand before the engine's handling of responses."""
        self._engine._handle_response = self._told
        enqueuer = self._engine._res_enqueuer
        if hasattr(enqueuer, "_handler"):  # on data time it handles them itself
            enqueuer._handler = self._told

    def is_for(self, component: Any) -> bool:
        """Whether what is being told is the answer to a component; what nobody asked for is."""
        return not self._asked or any(component.is_pending_request(each) for each in self._asked)

    def _told(self, response: Any) -> None:
        before = self._asked
        self._asked = tuple(self._ancestors(response.correlation_id))
        try:
            with self._others_muted():
                self._handle(response)
        finally:
            self._asked = before

    @contextmanager
    def _others_muted(self) -> Iterator[None]:
        """Let no rows reach the bars that are made for other requests."""
        heard = self._bus.subscriptions("historical*")
        muted = [each for each in heard if self._is_anothers(each.handler)]
        for each in muted:
            self._bus.unsubscribe(each.topic, each.handler)
        try:
            yield
        finally:
            for each in muted:
                self._bus.subscribe(each.topic, each.handler, each.priority)

    def _is_anothers(self, handler: Any) -> bool:
        owner = getattr(handler, "__self__", None)
        if not isinstance(owner, BarAggregator) or not owner.historical_mode:
            return False
        found = self._engine._bar_aggregators
        own = [key for key in found if found[key] is owner]
        asked = [*self._asked, None] if self._updates() else self._asked
        return not any(request_id in asked for _, request_id in own)

    def _updates(self) -> bool:
        """Whether the answer is for bars of a later subscription, which have no request's id."""
        params = (self._engine._bar_types_params.get(each, {}) for each in self._asked)
        return any(each.get("update_subscriptions") for each in params)

    def _ancestors(self, request_id: Any) -> list[Any]:
        """Return a request and those that it is a part of."""
        found, left = [], [request_id]
        while left:
            each = left.pop()
            if each is not None and each not in found:
                found.append(each)
                left += [parents.get(each) for parents in self._parents]
        return found
