"""OKX: spot and swaps, REST under ``/api/v5`` and two WebSockets."""

from simulators.okx.venue import OKX

__all__ = ["OKX"]
