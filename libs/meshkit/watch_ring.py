"""The newest facts of a stream, kept in memory for all the watchers of a process."""

from collections import deque

from mesh.events.v1.events_pb2 import Event

LONGEST = 4096
LARGEST = 16 * 2**20  # bytes


class Ring:
    """Facts with numbers in one unbroken run; the oldest go when there are too many."""

    def __init__(self, place: int = 0, longest: int = LONGEST, largest: int = LARGEST) -> None:
        self._longest, self._largest = longest, largest
        self._events: deque[Event] = deque()
        self._sizes: deque[int] = deque()
        self._size = 0
        self.place = place
        """Number of the fact that was added last."""
        self.head = place
        """Highest number that is known to be committed, in the ring or not."""

    def add(self, number: int, event: bytes) -> None:
        """Add the next fact; one that is known is ignored, one after a hole starts a new run."""
        if number <= self.place:
            return
        if number != self.place + 1:
            self._clear()
        self.place = number
        self.head = max(self.head, number)
        self._events.append(Event.FromString(event))
        self._sizes.append(len(event))
        self._size += len(event)
        while len(self._events) > self._longest or self._size > self._largest:
            self._events.popleft()
            self._size -= self._sizes.popleft()

    def after(self, number: int, limit: int) -> list[Event] | None:
        """Return up to ``limit`` facts after a number; None when the next one is not here."""
        if not self._events:
            return None
        skip = number + 1 - self._events[0].number
        if not 0 <= skip < len(self._events):
            return None
        return [self._events[i] for i in range(skip, min(skip + limit, len(self._events)))]

    def _clear(self) -> None:
        self._events.clear()
        self._sizes.clear()
        self._size = 0
