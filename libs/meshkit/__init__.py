"""Shared code of the services: server, interceptors, stores, streams. Written by hand."""

import os

# gRPC's handlers at fork crash the child now and then when another thread is inside gRPC, and our
# children exec at once and need none. Read by gRPC when its first channel or server is made.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

VERSION = "0.1.0"
"""The version of the mesh, as in ``pyproject.toml`` (a test compares)."""
