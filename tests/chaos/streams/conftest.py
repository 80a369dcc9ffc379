"""Fixtures of the stream tests."""

from integration.streams.kit import client, database, valkey

__all__ = ["client", "database", "valkey"]
