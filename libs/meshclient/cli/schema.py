"""The JSON Schema of a config as rows for people."""

import json
from collections.abc import Iterator
from typing import Any

INHERITED = frozenset(
    {
        "component_id",
        "exec_algorithm_id",
        "external_order_claims",
        "log_commands",
        "log_events",
        "log_rejected_due_post_only_as_warning",
        "manage_contingent_orders",
        "manage_gtd_expiry",
        "manage_stop",
        "market_exit_interval_ms",
        "market_exit_max_attempts",
        "market_exit_reduce_only",
        "market_exit_time_in_force",
        "oms_type",
        "order_id_tag",
        "strategy_id",
        "use_hyphens_in_client_order_ids",
        "use_uuid_client_order_ids",
    }
)
"""Fields that every config has from Nautilus, which a newcomer need not see."""


def config_rows(schema: dict[str, Any], required: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and default of each field, required ones first."""
    fields = config_fields(schema)
    for name in sorted(fields, key=lambda each: (each not in required, each)):
        described = fields[name]
        default = "(required)" if name in required else _default(described.get("default"))
        yield name, _type_of(described, schema.get("$defs", {})), default


def config_fields(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of each field by name."""
    if "$ref" in schema:
        schema = _definition(schema, schema.get("$defs", {}))
    fields: dict[str, Any] = schema.get("properties", {})
    return fields


def _definition(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definitions.get(schema["$ref"].rpartition("/")[2], {})
    return found


def _default(value: object) -> str:
    """Return a default as one writes it; a Struct turns whole numbers into doubles."""
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value)  # type: ignore[call-overload] # a float here


def _type_of(described: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in described:
        described = _definition(described, definitions)
    if "anyOf" in described:
        kinds = [_type_of(each, definitions) for each in described["anyOf"]]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in described:
        return " | ".join(str(each) for each in described["enum"])
    if "items" in described:
        return f"list of {_type_of(described['items'], definitions)}"
    kind = str(described.get("format") or described.get("type") or described.get("title") or "any")
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    said = [f"{sign} {described[key]:g}" for key, sign in limits.items() if key in described]
    return f"{kind} ({', '.join(said)})" if said else kind
