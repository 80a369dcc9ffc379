"""An exception of user code → the fact that tells it, with lines of the user's code only."""

import traceback
from collections.abc import Iterator

from mesh.execution.v1.events_pb2 import StrategyFailed
from mesh.execution.v1.trader_pb2 import OnFailure
from meshkit.nautilus.loader import LoadError, shown_path
from services.live_execution.trader.ports import Component

MOST_TEXT = 1_000
"""Characters of a message that are kept."""
MOST_LINES = 40
"""Lines of a traceback that are kept, the innermost: endless recursion has a thousand."""
HANDLERS = {"stop": "on_stop", "start": "on_start", "execute": "on_order", "message": "on_event"}


def failure(
    component: Component, instance_id: str, entry: str, error: BaseException
) -> StrategyFailed:
    """Return the fact; ``entry`` is the way by which Nautilus came into the code."""
    if isinstance(error, LoadError):
        frames = [(error.file, error.line, "", "")] if error.file else []
        text = error.message
    else:
        frames = list(_frames(error))
        text = _text(error)
    file, line, _, _ = frames[-1] if frames else ("", 0, "", "")
    called = frames[0][2] if frames else ""
    return StrategyFailed(
        instance_id=instance_id,
        handler=called if called.startswith("on_") else _handler(entry, called),
        message=text[:MOST_TEXT],
        file=file,
        line=line,
        traceback=[_line(*frame) for frame in frames[-MOST_LINES:]],
        on_failure=OnFailure.Value(f"ON_FAILURE_{component.on_failure or 'CANCEL_ORDERS'}"),
        version=component.version,
    )


def said(fact: StrategyFailed) -> str:
    """Return a failure in one line."""
    where = f"{fact.file}, line {fact.line}, " if fact.file else ""
    return f"{where}{fact.handler}: {fact.message}"


def _frames(error: BaseException) -> Iterator[tuple[str, int, str, str]]:
    for frame in traceback.extract_tb(error.__traceback__):
        file = shown_path(frame.filename)
        if file:
            yield file, frame.lineno or 0, frame.name, frame.line or ""


def _line(file: str, line: int, name: str, text: str) -> str:
    where = f"{file}, line {line}" + (f", in {name}" if name else "")
    return f"{where}: {text}" if text else where


def _handler(entry: str, called: str) -> str:
    """Return the user's name of an entry: the function that was called, else the handler's."""
    if called:
        return called
    return HANDLERS.get(entry, entry.replace("_handle_", "on_").replace("handle_", "on_"))


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:  # an exception of user code may not even be printable
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
