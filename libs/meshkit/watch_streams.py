"""Which streams a watcher wants, and where it begins in each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from meshkit.errors import InvalidCursor
from meshkit.facts import Head

Follow = Callable[[str], bool]
"""Whether a stream of this name is wanted."""


@dataclass(frozen=True)
class Wish:
    """Streams that are always wanted, and those whose names ``follow`` accepts while they are
    there.
    """

    always: tuple[str, ...]
    follow: Follow | None

    def wants(self, stream: str) -> bool:
        """Whether a stream is wanted."""
        return stream in self.always or (self.follow is not None and self.follow(stream))

    def begin(self, heads: Mapping[str, Head]) -> dict[str, int]:
        """Return the numbers after which a watcher without a cursor is told."""
        return {stream: head.number for stream, head in self._found(heads).items()}

    def resume(
        self, heads: Mapping[str, Head], seen: Mapping[str, int]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Return the numbers of a watcher that has seen these, and the lowest that still can be.

        A stream that it has not seen is told from its beginning, one that is gone is dropped.
        Raises ``InvalidCursor`` for numbers that are not of this log.
        """
        if set(self.always) - set(seen) or not all(self.wants(stream) for stream in seen):
            raise InvalidCursor("The cursor belongs to other streams. Watch again without one.")
        found = self._found(heads)
        at = {stream: seen.get(stream, head.kept_from - 1) for stream, head in found.items()}
        if any(not 0 <= at[stream] <= head.number for stream, head in found.items()):
            raise InvalidCursor("The cursor is ahead of the log. Watch again without a cursor.")
        oldest = {s: max(at[s], head.kept_from - 1) for s, head in found.items()}
        return at, oldest

    def gone(self, at: Mapping[str, int], heads: Mapping[str, Head]) -> list[str]:
        """Return the streams that are there no more."""
        return [stream for stream in at if stream not in heads and stream not in self.always]

    def come(self, at: Mapping[str, int], heads: Mapping[str, Head]) -> dict[str, int]:
        """Return the wanted streams that are new, and their beginnings."""
        return {s: h.kept_from - 1 for s, h in heads.items() if s not in at and self.wants(s)}

    def _found(self, heads: Mapping[str, Head]) -> dict[str, Head]:
        """Return the heads of what is wanted; a stream without a fact has none."""
        found = {stream: heads.get(stream) or Head(stream, 0, 1) for stream in self.always}
        return found | {stream: head for stream, head in heads.items() if self.wants(stream)}
