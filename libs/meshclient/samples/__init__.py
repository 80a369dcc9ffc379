"""Specs that ship: they fit the sample data and the example strategies of a fresh mesh."""

import json
from importlib import resources

from meshclient import spec

DEFAULT = "ema-cross"


def load(name: str = DEFAULT) -> spec.RunSpec:
    """Return a spec that ships, by its name without the suffix."""
    text = resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8")
    return spec.parse(json.loads(text), name)
