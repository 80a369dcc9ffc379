"""A component's code and config → an instance with a fuse. It runs user code."""

import json
from collections.abc import Mapping
from typing import Any

from nautilus_trader.common.actor import Actor

from meshkit.nautilus.loader import LoadError, load
from services.live_execution.engine.strategies.fuse import Fuse
from services.live_execution.engine.strategies.guard import guarded
from services.live_execution.trader.ports import Component


def make(component: Component, fuse: Fuse) -> Actor:
    """Load a component and make its instance, which is not registered yet.

    Raises ``LoadError``, and whatever the code raises when it is made.
    """
    loaded = load(
        component.kind,
        component.version,
        component.files,
        component.importable_path,
        component.class_name,
    )
    config: Any = loaded.config
    text = json.dumps(_config(component, loaded.component.__name__, config))
    made: Actor = guarded(loaded.component, fuse)(config.parse(text))
    fuse.component = made
    return made


def _config(component: Component, class_name: str, config: Any) -> Mapping[str, object]:
    """Return the config with what makes its id, and with its claims."""
    values = dict(component.config)
    tag = component.order_id_tag
    if component.kind == "STRATEGY":
        if values.pop("strategy_id", None):  # Nautilus cannot make a strategy with one
            raise LoadError("config", "strategy_id may not be set: the order id tag makes it")
        values["order_id_tag"] = tag
        if component.claims:
            values["external_order_claims"] = list(component.claims)
    elif component.kind == "ACTOR" and "component_id" in config.__struct_fields__:
        values.setdefault("component_id", f"{class_name}-{tag}")
    return values
