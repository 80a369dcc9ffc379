"""The venue's clock: wall time, moved forward on command, so that a minute need not be waited."""

import time


class Clock:
    """Gives Unix milliseconds, ``behind`` seconds before the machine's time at the start."""

    def __init__(self, behind: float = 0.0) -> None:
        self._offset = -int(behind * 1000)

    def now(self) -> int:
        """Give the venue's time in Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self._offset

    def advance(self, seconds: float) -> int:
        """Move the clock forward; gives the new time in Unix milliseconds."""
        if seconds < 0:
            raise ValueError("the venue's clock does not go back")
        self._offset += int(seconds * 1000)
        return self.now()
