"""The pace of a replay: data time against the wall, with speed, pause and resume."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf, isinf

RESOLUTION_S = 0.001
"""The shortest sleep: ticks that are due within it are released together."""


class Pace:
    """Releases data at ``speed`` seconds of data a second of wall time.

    ``speed`` > 0; ``math.inf`` is as fast as possible. A consumer that falls behind is given data
    without waiting until it has caught up. Use it on the event loop's thread. ``wall`` gives
    seconds that never go back.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        paused: bool = False,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self._speed = _checked(speed)
        self._paused = paused
        self._wall = wall
        self._changed = asyncio.Event()
        self._anchor_ns: int | None = None
        self._anchor_s = 0.0
        self._asked_ns = 0

    @property
    def speed(self) -> float:
        """Seconds of data a second."""
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        self._anchor()
        self._speed = _checked(value)
        self._changed.set()

    @property
    def paused(self) -> bool:
        """Whether no data is released."""
        return self._paused

    def pause(self) -> None:
        """Release no more data. What was released before is not taken back."""
        self._anchor()
        self._paused = True
        self._changed.set()

    def resume(self) -> None:
        """Go on from where it was paused."""
        self._anchor()
        self._paused = False
        self._changed.set()

    @property
    def position_ns(self) -> int:
        """The data time that is reached (UNIX ns), never past the next tick; 0 before the first."""
        return min(self._wall_ns(), self._asked_ns)

    @property
    def reached_ns(self) -> int:
        """The data time (UNIX ns) that the wall has reached, past the next tick too."""
        return self._wall_ns()

    def wake(self) -> None:
        """Let who waits ask again: there may be an earlier tick."""
        self._changed.set()

    def due(self, ts_ns: int) -> bool:
        """Say whether data of this time is to be released now. The first one asked for is."""
        if self._anchor_ns is None:
            self._anchor_ns, self._anchor_s = ts_ns, self._wall()
        self._asked_ns = ts_ns
        return not self._paused and self._wall_ns() >= ts_ns

    async def until(self, ts_ns: int) -> None:
        """Wait until the time is due, or the pace has changed: ask again."""
        self._changed.clear()
        wait_s = None
        if not self._paused:
            wait_s = max((ts_ns - self._wall_ns()) / 1e9 / self._speed, RESOLUTION_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()

    def _anchor(self) -> None:
        if self._anchor_ns is not None:
            self._anchor_ns, self._anchor_s = self.position_ns, self._wall()

    def _wall_ns(self) -> int:
        if self._anchor_ns is None or self._paused:
            return self._anchor_ns or 0
        if isinf(self._speed):
            return self._asked_ns
        return self._anchor_ns + int((self._wall() - self._anchor_s) * self._speed * 1e9)


def _checked(speed: float) -> float:
    if not 0 < speed <= inf:
        raise ValueError(f"A pace's speed is a number above 0, not {speed}. To stand still: pause.")
    return speed
