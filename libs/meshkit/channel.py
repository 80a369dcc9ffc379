"""Client channels: a deadline on every call, ids and token forwarded, retries only where they are
safe.
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool

from meshkit import context, rules

Token = str | Callable[[], str] | None


def channel(
    target: str,
    *services: str,
    token: Token = None,
    credentials: grpc.ChannelCredentials | None = None,
    options: Any = (),
) -> grpc.aio.Channel:
    """Return a channel to a service of the mesh.

    ``services`` are the full names of the services that are called through it; their idempotent
    methods are retried on UNAVAILABLE. ``token`` is sent as bearer token, or asked for at each
    call; without it the present caller's own is forwarded. ``credentials`` make the connection TLS;
    without them it is plaintext.
    """
    settings: Any = {
        "options": [
            ("grpc.service_config", json.dumps(_service_config(services))),
            ("grpc.max_receive_message_length", 16 * 2**20),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            *options,
        ],
        "interceptors": [Unary(token), ServerStream(token), ClientStream(token)],
    }
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, **settings)
    return grpc.aio.insecure_channel(target, **settings)


def _service_config(services: tuple[str, ...]) -> dict[str, Any]:
    safe = [
        {"service": service, "method": method.name}
        for service in services
        for method in descriptor_pool.Default().FindServiceByName(service).methods
        if (rule := rules.rule_of(f"/{service}/{method.name}")) and rule.idempotent
    ]
    if not safe:
        return {}
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": safe, "retryPolicy": policy}]}


class _Prepared:
    """Adds deadline, ids and token to a call's details."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def _details(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if metadata.get("x-request-id") is None:
            metadata.add("x-request-id", context.request_id() or str(uuid.uuid4()))
        if context.traceparent() and metadata.get("traceparent") is None:
            metadata.add("traceparent", context.traceparent())
        if metadata.get("authorization") is None and (token := self._bearer()):
            metadata.add("authorization", f"Bearer {token}")
        return grpc.aio.ClientCallDetails(
            method=details.method,
            timeout=_timeout(method, details.timeout),
            metadata=metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    def _bearer(self) -> str:
        if callable(self._token):
            return self._token()
        return self._token or context.forwarded_token()


def _timeout(method: str, wanted: float | None) -> float | None:
    rule = rules.rule_of(method)
    if rule is None or rule.watch:
        return wanted
    within = _time_left()
    own = wanted if wanted is not None else rules.default_deadline(rule)
    return own if within is None else min(own, within)


def _time_left() -> float | None:
    """Return what is left of the deadline of the call that this one is made for."""
    ends = context.deadline()
    return None if ends is None else max(0.0, ends - asyncio.get_running_loop().time())


class Unary(_Prepared, grpc.aio.UnaryUnaryClientInterceptor):
    """One request, one reply."""

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Prepare the call and make it."""
        return await continuation(self._details(client_call_details), request)


class ServerStream(_Prepared, grpc.aio.UnaryStreamClientInterceptor):
    """One request, a stream of replies."""

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Prepare the call and make it."""
        return await continuation(self._details(client_call_details), request)


class ClientStream(_Prepared, grpc.aio.StreamUnaryClientInterceptor):
    """A stream of requests, one reply."""

    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Prepare the call and make it."""
        return await continuation(self._details(client_call_details), request_iterator)
