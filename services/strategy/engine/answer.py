"""Task → answer, inside the child: what the code holds, or what is wrong with it or a config."""

import json
import re
from typing import Any

import msgspec

from meshkit.nautilus.config_schema import config_schema
from meshkit.nautilus.loader import BASES, Loaded, LoadError, check_syntax, load, user_frame

_AT = re.compile(r"^(?P<what>.*) - at `(?P<path>\$.*)`$", re.DOTALL)


def answer(task: dict[str, Any]) -> dict[str, Any]:
    """Load the code of a task and describe it or, when the task has a config, check that."""
    config = task.pop("config")
    try:
        check_syntax(task["version"], task["files"])
        loaded = load(**task)
        if config is None:
            return _describe(loaded, BASES[task["kind"]][1])
        return {"violations": _violations(loaded, config)}
    except MemoryError as error:
        file, line = user_frame(error)
        return {"error": "memory", "message": "", "file": file, "line": line}
    except LoadError as error:
        return {
            "error": error.stage,
            "message": error.message,
            "file": error.file,
            "line": error.line,
        }


def _describe(loaded: Loaded, base: type) -> dict[str, Any]:
    name = loaded.config.__name__
    try:
        schema = config_schema(loaded.config)
    except Exception as error:  # msgspec raises several kinds for a type without a schema
        file, line = user_frame(error)
        raise LoadError("config", f"{name} has no schema: {error}", file, line) from None
    return {
        "class_name": loaded.component.__name__,
        "config_class_name": "" if loaded.config is base else name,
        "config_schema": schema,
    }


def _violations(loaded: Loaded, config: dict[str, Any]) -> list[tuple[str, str]]:
    """Parse the config and make the component with it, as a run would."""
    kind: Any = loaded.config
    try:
        loaded.component(kind.parse(json.dumps(config)))
    except MemoryError:
        raise
    except msgspec.ValidationError as error:
        at = _AT.match(str(error))
        return [(at["path"], at["what"]) if at else ("$", str(error))]
    except BaseException as error:  # user code may raise anything, SystemExit included
        file, line = user_frame(error)
        where = f" ({file}, line {line})" if file else ""
        return [("$", f"{type(error).__name__}: {error}{where}")]
    return []
