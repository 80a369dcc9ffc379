"""A part of the terminal that is painted again and again, without a flicker."""

import shutil
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
# A terminal that knows this shows nothing between the two; others ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_REST_OF_LINE, _REST_OF_SCREEN, _ALL = "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


class Screen:
    """Paints over what it painted before: each line is written in place and nothing is erased that
    stays, in one write for each picture. Use it as a context manager.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._height = 0
        self._size = shutil.get_terminal_size()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(_no_echo())
        self._write(_HIDE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(_SHOW)
        self._stack.close()

    @property
    def room(self) -> int:
        """Lines that a picture may have."""
        return max(self.console.size.height - 1, 4)

    def paint(self, picture: RenderableType, above: RenderableType | None = None) -> None:
        """Show a picture in the place of the last one; ``above`` stays over it for good."""
        lines = self._lines(picture)[: self.room]
        kept = [] if above is None else self._lines(above)
        body = "".join(f"{line}{_REST_OF_LINE}\n" for line in [*kept, *lines])
        self._write(f"{_BEGIN}{self._back()}{body}{_REST_OF_SCREEN}{_END}")
        self._height = len(lines)

    def _back(self) -> str:
        """Return what moves to the start of the last picture."""
        size, before = shutil.get_terminal_size(), self._size
        self._size = size
        if size != before:
            return _ALL  # the terminal has broken the lines anew: where they are is not known
        return f"\r\x1b[{self._height}A" if self._height else ""

    def _lines(self, picture: RenderableType) -> list[str]:
        with self.console.capture() as capture:
            self.console.print(picture)
        return capture.get().splitlines()

    def _write(self, codes: str) -> None:
        self.console.file.write(codes)
        self.console.file.flush()


@contextmanager
def _no_echo() -> Iterator[None]:
    """Keep what is typed from being written into the picture; Ctrl-C still ends it."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(keyboard, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)  # what was typed is for nobody
