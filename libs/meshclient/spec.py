"""Backtest specs as files: YAML, JSON or TOML → ``BacktestSpec``, with the place of each fault.

A file holds the fields of ``mesh.backtest.v1.BacktestSpec`` under their names, beside an optional
``name`` and ``labels``. Shorter forms are taken where they are clear: ``NETTING`` for an enum
value, ``1000000 USD`` for money, a bar type for a data selection, a date for a timestamp, ``5ms``
for a duration.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh.backtest.v1.backtest_pb2 import BacktestSpec
from meshclient.errors import MeshClientError, SpecError
from meshclient.fill import Filler, expected
from meshkit.errors import FieldViolation


@dataclass(frozen=True)
class RunSpec:
    """What to run, and how to find it again."""

    spec: BacktestSpec
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def load(file: str | Path) -> RunSpec:
    """Return the spec in a file. Raises ``SpecError`` that names every place that is wrong."""
    return parse(document(file), str(file))


def document(file: str | Path) -> object:
    """Return what a YAML, JSON or TOML file holds, as plain data."""
    path = Path(file)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise SpecError(f"{path} must end in {', '.join(_READERS)}.")
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise MeshClientError(
            f"{path}: {error.strerror}", code="INVALID_ARGUMENT", reason="FILE_UNREADABLE"
        ) from None
    except UnicodeDecodeError:
        raise SpecError(f"{path} is not UTF-8 text.") from None
    return reader(text, path)


def parse(document: object, origin: str = "the spec") -> RunSpec:
    """Return the spec in plain data (as JSON gives it); ``origin`` names it in errors."""
    if not isinstance(document, Mapping):
        raise SpecError(f"{origin} must hold a table of fields, not {expected(document)}.")
    rest = dict(document)
    name, labels = rest.pop("name", ""), rest.pop("labels", {})
    filler = Filler()
    if not isinstance(name, str):
        filler.fault("name", "must be text")
    if not isinstance(labels, Mapping) or not all(isinstance(v, str) for v in labels.values()):
        filler.fault("labels", "must be a table of texts")
    spec = BacktestSpec()
    filler.fill(spec, rest, "")
    for wanted in ("venues", "data", "components"):
        if not rest.get(wanted):
            filler.fault(wanted, "is missing: give at least one")
    if filler.violations:
        raise SpecError(summary(origin, filler.violations), filler.violations)
    return RunSpec(spec, name, dict(labels))


def summary(origin: str, violations: list[FieldViolation]) -> str:
    """Return a sentence about the first of several faults."""
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return f"{origin}: {first.field} {first.description}{more}."


def _json(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None


def _toml(text: str, path: Path) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}.") from None


def _yaml(text: str, path: Path) -> object:
    try:
        import yaml
    except ImportError:
        raise MeshClientError(
            "Specs in YAML need PyYAML (pip install pyyaml); JSON and TOML need nothing.",
            code="FAILED_PRECONDITION",
            reason="EXTRA_MISSING",
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or "is not YAML"
        raise SpecError(f"{path}{where}: {what}.") from None


_READERS: dict[str, Callable[[str, Path], object]] = {
    ".json": _json,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": _toml,
}
