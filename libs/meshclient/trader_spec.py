"""Traders as files: YAML, JSON or TOML → ``TraderSpec``, with the place of each fault.

A file holds the fields of ``mesh.execution.v1.TraderSpec`` under their names, beside ``trader_id``
and optional ``labels``. Beside the short forms of ``meshclient.spec``: a feed's id for `data.mesh`,
``100/1s`` for a rate, ``config`` as a table for an adapter's ``config_json``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from mesh.execution.v1 import trader_pb2 as pb
from meshclient import spec
from meshclient.errors import SpecError
from meshclient.fill import Filler, expected


@dataclass(frozen=True)
class TraderFile:
    """A trader to be made."""

    trader_id: str
    spec: pb.TraderSpec
    labels: Mapping[str, str] = field(default_factory=dict)


def load(file: str | Path, trader_id: str = "") -> TraderFile:
    """Return the trader in a file; ``trader_id`` overrides the file's.

    Raises ``SpecError`` that names every place that is wrong.
    """
    return parse(spec.document(file), str(file), trader_id)


def parse(document: object, origin: str = "the spec", trader_id: str = "") -> TraderFile:
    """Return the trader in plain data (as JSON gives it); ``origin`` names it in errors."""
    if not isinstance(document, Mapping):
        raise SpecError(f"{origin} must hold a table of fields, not {expected(document)}.")
    rest = dict(document)
    found, labels = rest.pop("trader_id", ""), rest.pop("labels", None) or {}
    filler = Filler()
    if not isinstance(labels, Mapping) or not all(isinstance(v, str) for v in labels.values()):
        filler.fault("labels", "must be a table of texts")
        labels = {}
    if not trader_id and (not isinstance(found, str) or not found):
        filler.fault("trader_id", "is missing: a name, a hyphen and a tag, such as EMA-001")
    made = pb.TraderSpec()
    filler.fill(made, rest, "")
    for wanted in ("venues", "data"):
        if not rest.get(wanted):
            filler.fault(wanted, "is missing")
    _refuse(filler, origin)
    return TraderFile(trader_id or str(found), made, dict(labels))


def message(given: pb.TraderSpec | Mapping[str, Any]) -> pb.TraderSpec:
    """Return a spec from itself or from its fields as plain data."""
    return given if isinstance(given, pb.TraderSpec) else _filled(pb.TraderSpec(), given)


def strategy(given: pb.TraderStrategy | Mapping[str, Any]) -> pb.TraderStrategy:
    """Return a strategy of a trader from itself or from its fields as plain data."""
    return given if isinstance(given, pb.TraderStrategy) else _filled(pb.TraderStrategy(), given)


def _filled[M: Message](made: M, given: Mapping[str, Any]) -> M:
    filler = Filler()
    filler.fill(made, given, "")
    _refuse(filler, "the spec")
    return made


def _refuse(filler: Filler, origin: str) -> None:
    if filler.violations:
        raise SpecError(spec.summary(origin, filler.violations), filler.violations)
