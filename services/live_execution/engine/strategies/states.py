"""The state that components keep over restarts: what ``on_save`` gives and ``on_load`` gets."""

from collections.abc import Mapping
from typing import Any

MOST_BYTES = 4 * 1024 * 1024
"""Most bytes of a state: it is a fact, of which every watcher of the trader gets a copy."""


class StateInvalid(Exception):
    """What ``on_save`` gave cannot be kept."""


def saved(component: Any) -> dict[str, bytes]:
    """Return a component's state. Raises what its code raises, and ``StateInvalid``."""
    state = component.on_save()
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, bytes) for key, value in state.items()
    ):
        raise StateInvalid("on_save must return a dict of str and bytes")
    size = sum(len(key) + len(value) for key, value in state.items())
    if size > MOST_BYTES:
        raise StateInvalid(f"on_save returned {size} bytes; {MOST_BYTES} is the most")
    return dict(state)


def give(component: Any, state: Mapping[str, bytes]) -> None:
    """Give a component the state that it once saved. Raises what its code raises."""
    if state:
        component.on_load(dict(state))
        component.log.info(f"Loaded state {list(state)}")
