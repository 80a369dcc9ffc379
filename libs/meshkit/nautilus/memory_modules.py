"""Imports modules and packages from text in memory, under names that tracebacks can show."""

import importlib.abc
import importlib.machinery
import linecache
from types import CodeType, ModuleType
from typing import Any

_SHOWN = "<mesh_"


def compiled(root: str, path: str, text: str) -> CodeType:
    """Compile a file of module ``root``; tracebacks show its lines. Raises ``SyntaxError``."""
    shown = f"<{root}/{path}>"
    linecache.cache[shown] = (len(text), None, text.splitlines(keepends=True), shown)
    return compile(text, shown, "exec", dont_inherit=True)


def inner_path(filename: str) -> str:
    """Return the path inside its package of a file compiled here, empty for any other."""
    return filename[1:-1].partition("/")[2] if filename.startswith(_SHOWN) else ""


class Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
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
        """Compile a module."""
        return compiled(self._root, self._locate(fullname)[0] or "", self.get_source(fullname))

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        exec(self.get_code(module.__name__), module.__dict__)
