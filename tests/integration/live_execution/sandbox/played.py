"""Runs scenes one after the other in this process, and tells how each ended."""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

Scenes = Sequence[Callable[[], Coroutine[Any, Any, None]]]


def played(scenes: Scenes) -> dict[str, str]:
    """Return by name what each scene raised; empty where it went well."""
    return {scene.__name__: _played(scene) for scene in scenes}


def _played(scene: Callable[[], Coroutine[Any, Any, None]]) -> str:
    try:
        asyncio.run(scene())
    except Exception:
        return traceback.format_exc()
    return ""
