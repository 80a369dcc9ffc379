"""Small pieces of Envoy's configuration."""

from typing import Any

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy."


def typed(kind: str, **fields: Any) -> Json:
    """Return a typed config; ``kind`` is the message's name after ``envoy.``."""
    return {"@type": _TYPE + kind, **fields}


def http_filter(name: str, kind: str, **fields: Any) -> Json:
    """Return an HTTP filter."""
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed(kind, **fields)}


def address(listen: str) -> Json:
    """Return an address: ``unix:/path`` or ``host:port``."""
    if listen.startswith("unix:"):
        return {"pipe": {"path": listen.removeprefix("unix:")}}
    host, _, port = listen.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def seconds(value: float) -> str:
    """Return a duration."""
    return f"{value:g}s"


def header(name: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> Json:
    """Return a header to add."""
    return {"header": {"key": name, "value": value}, "append_action": action}
