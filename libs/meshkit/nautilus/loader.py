"""User code → Nautilus classes. Runs user code: only ever in a child process made for it.

A module or package gets a name made from its version, so that two versions never meet in one
process, and its text is kept for tracebacks.
"""

import importlib
import inspect
import sys
import traceback
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.execution.config import ExecAlgorithmConfig
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

from meshkit.nautilus.memory_modules import Finder, compiled, inner_path

BASES: Mapping[str, tuple[type, type]] = {
    "STRATEGY": (Strategy, StrategyConfig),
    "ACTOR": (Actor, ActorConfig),
    "EXEC_ALGORITHM": (ExecAlgorithm, ExecAlgorithmConfig),
}
ENTRY_FILES = ("main.py", "__init__.py")
_installed: dict[str, str] = {}
"""Files of importable paths that were loaded, and the names under which errors show them."""


class LoadError(Exception):
    """User code that cannot be loaded: at which stage, why, and where in its own files."""

    def __init__(self, stage: str, message: str, file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.stage = stage
        self.message = message
        self.file = file
        self.line = line


@dataclass(frozen=True)
class Loaded:
    """A component's class and the class of its config."""

    component: type
    config: type


def load(
    kind: str,
    version: str,
    files: Sequence[tuple[str, str]] = (),
    importable_path: str = "",
    class_name: str = "",
) -> Loaded:
    """Load a component of ``kind`` (``STRATEGY``, ``ACTOR``, ``EXEC_ALGORITHM``).

    ``files`` are (path, text) pairs: one is a module, several are a package. Raises ``LoadError``,
    and ``MemoryError`` as it comes.
    """
    if importable_path:
        module, component = _import(importable_path, kind)
    else:
        module = _execute(_module_name(version), files)
        component = _find_component(module, kind, class_name)
    return Loaded(component, _find_config(module, component, BASES[kind][1]))


def check_syntax(version: str, files: Sequence[tuple[str, str]]) -> None:
    """Compile every file, those too that nothing imports yet; raises ``LoadError``."""
    for path, text in files:
        with _load_errors(path):
            compiled(_module_name(version), path, text)


def user_frame(error: BaseException) -> tuple[str, int]:
    """Return file and line of the innermost frame in user code, ("", 0) when there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = shown_path(frame.filename)
        if file:
            return file, frame.lineno or 0
    return "", 0


def shown_path(filename: str) -> str:
    """Return the path under which errors show a file of user code, empty for any other file."""
    return inner_path(filename) or _installed.get(filename, "")


def _module_name(version: str) -> str:
    return f"mesh_{version[:16]}"


def _execute(name: str, files: Sequence[tuple[str, str]]) -> ModuleType:
    entry = _entry(files)
    sys.meta_path.insert(0, Finder(name, dict(files), entry))
    with _load_errors(entry):
        return importlib.import_module(name)


@contextmanager
def _load_errors(entry: str) -> Iterator[None]:
    """Turn what user code raises while it is imported into a ``LoadError``."""
    try:
        yield
    except (LoadError, MemoryError):
        raise
    except SyntaxError as error:
        file = inner_path(error.filename or "") or entry
        raise LoadError("syntax", str(error.msg), file, error.lineno or 0) from None
    except BaseException as error:  # user code may raise anything, SystemExit included
        file, line = user_frame(error)
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        stage = "exit" if isinstance(error, SystemExit) else "import"
        raise LoadError(stage, text, file, line) from None


def _entry(files: Sequence[tuple[str, str]]) -> str:
    paths = [path for path, _ in files]
    if len(paths) == 1:
        return paths[0]
    entry = next((wanted for wanted in ENTRY_FILES if wanted in paths), None)
    if entry is None:
        raise LoadError("source", "a package needs a file main.py or __init__.py")
    return entry


def _import(importable_path: str, kind: str) -> tuple[ModuleType, type]:
    module_name, _, class_name = importable_path.partition(":")
    shown = module_name.replace(".", "/") + ".py"
    with _load_errors(shown):
        module = importlib.import_module(module_name)
    _installed[str(module.__file__)] = shown
    component = getattr(module, class_name, None)
    base = BASES[kind][0]
    if not inspect.isclass(component) or not issubclass(component, base):
        raise LoadError("class", f"{importable_path} is not a subclass of {base.__name__}")
    return module, component


def _own_classes(module: ModuleType, base: type) -> dict[str, type]:
    """Return the subclasses of ``base`` that the module or its package defines, by name."""
    inside = (module.__name__, module.__name__ + ".")
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and (value.__module__ == inside[0] or value.__module__.startswith(inside[1]))
    }


def _find_component(module: ModuleType, kind: str, class_name: str) -> type:
    base = BASES[kind][0]
    others = (Strategy, ExecAlgorithm) if base is Actor else ()  # these are actors too
    found = {n: c for n, c in _own_classes(module, base).items() if not issubclass(c, others)}
    if class_name:
        if class_name not in found:
            raise LoadError("class", f"there is no {base.__name__} named {class_name}")
        return found[class_name]
    if not found:
        raise LoadError("class", f"there is no subclass of {base.__name__}")
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise LoadError("class", f"several classes fit ({names}): name one in class_name")
    return next(iter(found.values()))


def _find_config(module: ModuleType, component: type, base: type) -> type:
    """Return the annotated config class, the one named after the component, or the only one; the
    base when there is none.
    """
    annotated = _annotated_config(component)
    if annotated is not None and issubclass(annotated, base):
        return annotated
    own = _own_classes(module, base)
    named = own.get(f"{component.__name__}Config")
    if named is not None:
        return named
    if len(own) > 1:
        names = ", ".join(sorted(own))
        advice = f"annotate one in {component.__name__}.__init__(self, config: ...)"
        raise LoadError("config", f"several config classes fit ({names}): {advice}")
    return next(iter(own.values()), base)


def _annotated_config(component: type) -> type | None:
    init: Any = component.__init__  # type: ignore[misc]  # of this very class, not of an instance
    try:
        hint = typing.get_type_hints(init).get("config")
    except Exception:  # hints are expressions of user code
        return None
    options = [h for h in typing.get_args(hint) if h is not type(None)] or [hint]
    return options[0] if inspect.isclass(options[0]) else None
