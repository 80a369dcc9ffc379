"""How to see that a process is healthy."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 2.0


def grpc_health(address: str) -> Callable[[], Awaitable[bool]]:
    """Return a probe that asks gRPC's own health service."""

    async def probe() -> bool:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know only the blocking one
            try:
                reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
            except grpc.aio.AioRpcError:
                return False
        serving: bool = reply.status == health_pb2.HealthCheckResponse.SERVING
        return serving

    return probe


def http_ok(url: str) -> Callable[[], Awaitable[bool]]:
    """Return a probe that wants status 200 from a URL."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as reply:
                answered: bool = reply.status == 200
                return answered
        except (OSError, urllib.error.URLError):
            return False

    async def probe() -> bool:
        return await asyncio.to_thread(ask)

    return probe
