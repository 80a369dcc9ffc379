"""Python client of nautilus-mesh. Light: it imports no nautilus_trader and no service."""

from meshclient.batches import Batch
from meshclient.channels import channel_text, channels
from meshclient.client import MeshClient
from meshclient.data import selection
from meshclient.errors import JobFailed, MeshClientError
from meshclient.quick import Quick, quick_spec
from meshclient.strategies import source_from
from meshclient.watching import Watch

__all__ = [
    "Batch",
    "JobFailed",
    "MeshClient",
    "MeshClientError",
    "Quick",
    "Watch",
    "channel_text",
    "channels",
    "quick_spec",
    "selection",
    "source_from",
]
