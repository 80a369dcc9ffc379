"""Classes that Nautilus names in its own modules, replaced while it constructs its parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def substituted(module: ModuleType, **replacements: Any) -> Iterator[None]:
    """Give ``module`` other values for some of its names, and its own back at the end."""
    own = {name: getattr(module, name) for name in replacements}
    for name, value in replacements.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in own.items():
            setattr(module, name, value)
