"""Fixtures of the tests of traders without a mesh."""

from integration.live_execution.outside.conftest import live_database, world

__all__ = ["live_database", "world"]
