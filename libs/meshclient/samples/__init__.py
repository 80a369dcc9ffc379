"""Specs that ship: they fit the sample data and the example strategies of a fresh mesh."""

import json
from importlib import resources

from meshclient import spec
from meshclient.errors import SpecError

DEFAULT = "ema-cross"


def names() -> list[str]:
    """Return the names of the specs that ship."""
    found = resources.files(__package__).iterdir()
    return sorted(each.name.removesuffix(".json") for each in found if each.name.endswith(".json"))


def load(name: str = DEFAULT) -> spec.RunSpec:
    """Return a spec that ships, by its name without the suffix."""
    if name not in names():
        raise SpecError(f"No such example: '{name}'. There are: {', '.join(names())}.")
    text = resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8")
    return spec.parse(json.loads(text), name)
