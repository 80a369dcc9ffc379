"""Shared code of the services: server, interceptors, stores, streams. Written by hand."""

VERSION = "0.1.0"
"""The version of the mesh, as in ``pyproject.toml`` (a test compares)."""
