"""Who has asked for the history that is being told.

Nautilus tells the rows of an answer on a topic that everybody hears who waits for an answer about
the same: two strategies that warm up at the same time would both get all rows twice.
"""

from typing import Any


class Responses:
    """Knows whose answer a data engine is telling."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
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
            self._handle(response)
        finally:
            self._asked = before

    def _ancestors(self, request_id: Any) -> list[Any]:
        """Return a request and those that it is a part of."""
        found, left = [], [request_id]
        while left:
            each = left.pop()
            if each is not None and each not in found:
                found.append(each)
                left += [parents.get(each) for parents in self._parents]
        return found
