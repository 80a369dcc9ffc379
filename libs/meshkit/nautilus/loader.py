"""User code → Nautilus classes. Runs user code: only ever in a child process made for it.

A module or package gets a name made from its version, so that two versions never meet in one
process, and its text is kept for tracebacks.
"""

import importlib
import importlib.abc
import importlib.machinery
import inspect
import linecache
import sys
import traceback
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from nautilus_trader.common.actor import Actor
from nautilus_trader.common.config import ActorConfig
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.execution.config import ExecAlgorithmConfig
from nautilus_trader.trading.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy

BASES: Mapping[str, tuple[type, type]] = {
    "STRATEGY": (Strategy, StrategyConfig),
    "ACTOR": (Actor, ActorConfig),
    "EXEC_ALGORITHM": (ExecAlgorithm, ExecAlgorithmConfig),
}
ENTRY_FILES = ("main.py", "__init__.py")


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

    ``files`` are (path, text) pairs: one is a module, several are a package. Raises ``LoadError``.
    """
    if importable_path:
        module, component = _import(importable_path, kind)
    else:
        module = _execute(_module_name(version), files)
        component = _find_component(module, kind, class_name)
    return Loaded(component, _find_config(module, component, BASES[kind][1]))


def user_frame(error: BaseException, prefix: str = "mesh_") -> tuple[str, int]:
    """Return file and line of the innermost frame in user code, ("", 0) when there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(f"<{prefix}"):
            return frame.filename[1:-1].partition("/")[2], frame.lineno or 0
    return "", 0


def _module_name(version: str) -> str:
    return f"mesh_{version[:16]}"


def _execute(name: str, files: Sequence[tuple[str, str]]) -> ModuleType:
    entry = _entry(files)
    finder = _Finder(name, dict(files), entry)
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(name)
    except SyntaxError as error:
        file = (error.filename or "").strip("<>").partition("/")[2] or entry
        raise LoadError("syntax", f"{error.msg}", file, error.lineno or 0) from None
    except LoadError:
        raise
    except MemoryError:
        raise
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


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds the modules of one package in memory; its root runs the entry file."""

    def __init__(self, root: str, files: dict[str, str], entry: str) -> None:
        self._root = root
        self._files = files
        self._entry = entry

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a module of this package."""
        if name != self._root and not name.startswith(self._root + "."):
            return None
        path, package = self._locate(name)
        if path is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=path, is_package=package)

    def _locate(self, name: str) -> tuple[str | None, bool]:
        if name == self._root:
            return self._entry, True
        inner = name[len(self._root) + 1 :].replace(".", "/")
        if f"{inner}.py" in self._files:
            return f"{inner}.py", False
        if f"{inner}/__init__.py" in self._files:
            return f"{inner}/__init__.py", True
        folder = any(path.startswith(f"{inner}/") for path in self._files)
        return (f"{inner}/", True) if folder else (None, False)

    def is_package(self, fullname: str) -> bool:
        """Whether the module is a package."""
        return self._locate(fullname)[1]

    def get_source(self, fullname: str) -> str:
        """Return the text of a module; a folder without a file of its own is empty."""
        return self._files.get(self._locate(fullname)[0] or "", "")

    def get_code(self, fullname: str) -> CodeType:
        """Compile a module under a name that tracebacks can show."""
        text = self.get_source(fullname)
        shown = f"<{self._root}/{self._locate(fullname)[0]}>"
        linecache.cache[shown] = (len(text), None, text.splitlines(keepends=True), shown)
        return compile(text, shown, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        exec(self.get_code(module.__name__), module.__dict__)


def _import(importable_path: str, kind: str) -> tuple[ModuleType, type]:
    module_name, _, class_name = importable_path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise LoadError("import", f"{module_name} cannot be imported: {error}") from None
    component = getattr(module, class_name, None)
    base = BASES[kind][0]
    if not inspect.isclass(component) or not issubclass(component, base):
        raise LoadError("class", f"{importable_path} is not a subclass of {base.__name__}")
    return module, component


def _find_component(module: ModuleType, kind: str, class_name: str) -> type:
    base = BASES[kind][0]
    others = tuple(b for k, (b, _) in BASES.items() if k != kind and b is not Actor)
    found = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__.startswith(module.__name__)
        and issubclass(value, base)
        and not (base is Actor and issubclass(value, others))
    }
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
    annotated = _annotated_config(component)
    if annotated is not None and issubclass(annotated, base):
        return annotated
    named = getattr(module, f"{component.__name__}Config", None)
    if inspect.isclass(named) and issubclass(named, base):
        return named
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value.__module__.startswith(module.__name__)
    ]
    return own[0] if len(own) == 1 else base


def _annotated_config(component: type) -> type | None:
    init: Any = component.__init__  # type: ignore[misc]  # of this very class, not of an instance
    try:
        hint = typing.get_type_hints(init).get("config")
    except (NameError, TypeError, AttributeError):
        return None
    options = [h for h in typing.get_args(hint) if h is not type(None)] or [hint]
    return options[0] if inspect.isclass(options[0]) else None
