"""Python client of nautilus-mesh. Light: it imports no nautilus_trader and no service."""

from typing import Any

_EXPORTS = {
    "MeshClient": "client",
    "MeshClientError": "errors",
    "JobFailed": "errors",
    "Quick": "quick",
    "quick_spec": "quick",
    "selection": "data",
    "source_from": "strategies",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: profiles and errors need no gRPC stubs."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'meshclient' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"meshclient.{_EXPORTS[name]}"), name)
