"""Deribit: options and futures, JSON-RPC 2.0 over HTTP and WebSocket."""

from simulators.deribit.venue import Deribit

__all__ = ["Deribit"]
