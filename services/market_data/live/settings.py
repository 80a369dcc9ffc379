"""Limits and times of the live half."""

from dataclasses import dataclass, field

from services.market_data.live.log import Bounds
from services.market_data.live.wire import MOST


@dataclass(frozen=True)
class Settings:
    """Times are seconds.

    ``feeds`` is how many there may be, ``channels`` how many of one. A feed without channels ends
    after ``idle``. Its process is killed when it gives no sign of life for ``hang`` (for
    ``birth`` before the first: it loads Nautilus and reaches for the venue), and started again
    after ``back_off``, doubled up to ``longest_back_off``; a life of ``healthy`` starts that anew.
    ``patience`` is how long a command waits for a connection, ``answer`` how long for an answer.
    ``message`` is the bytes of a message to a watcher, about.
    """

    feeds: int = 50
    channels: int = 5_000
    bounds: Bounds = field(default_factory=Bounds)
    idle: float = 60.0
    hang: float = 20.0
    birth: float = 60.0
    back_off: float = 0.5
    longest_back_off: float = 30.0
    healthy: float = 30.0
    stop: float = 5.0
    patience: float = 20.0
    answer: float = 10.0
    checkpoint: float = 15.0
    message: int = MOST
