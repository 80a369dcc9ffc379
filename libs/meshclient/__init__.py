"""Python client of nautilus-mesh. Light: it imports no nautilus_trader and no service."""

from meshclient.client import MeshClient
from meshclient.data import selection
from meshclient.errors import JobFailed, MeshClientError
from meshclient.quick import Quick, quick_spec
from meshclient.strategies import source_from

__all__ = [
    "JobFailed",
    "MeshClient",
    "MeshClientError",
    "Quick",
    "quick_spec",
    "selection",
    "source_from",
]
