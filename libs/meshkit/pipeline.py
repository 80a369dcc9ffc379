"""What happens around every call, in one stated order.

observe ▸ map errors ▸ deadline ▸ authenticate ▸ validate ▸ the handler
"""

import asyncio
import logging
import re
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from mesh.common.v1.options_pb2 import MethodRule
from meshkit import context as call_context
from meshkit import metrics, rules
from meshkit.errors import Internal, ScopeMissing, TokenMissing, Unimplemented
from meshkit.status import abort, relayed, to_mesh_error, to_status
from meshkit.tokens import Verifier
from meshkit.validation import validate

log = logging.getLogger("meshkit.calls")

INFRASTRUCTURE = ("/grpc.health.v1.", "/grpc.reflection.")
"""Health and reflection carry no token and no rule; the gateway does not route health."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Call:
    """One call on its way through the pipeline."""

    method: str
    context: Context
    metadata: dict[str, str | bytes]
    code: str = "OK"
    started: float = field(default_factory=time.perf_counter)

    def text(self, key: str) -> str:
        """Return a metadata value as text, empty when absent."""
        value = self.metadata.get(key, "")
        return value if isinstance(value, str) else ""


class Pipeline(grpc.aio.ServerInterceptor):
    """The one interceptor: it wraps a handler once and keeps it."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of the method with everything around it."""
        method = handler_call_details.method
        if method.startswith(INFRASTRUCTURE):
            return await continuation(handler_call_details)
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if (
                handler is None
            ):  # grpc answers UNIMPLEMENTED; not kept, or anybody could fill the table
                return None
            self._wrapped[method] = self._wrap(method, handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: Any) -> Any:
        make = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, self._unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._stream),
        }
        build, around = make[handler.request_streaming, handler.response_streaming]
        behaviour = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        return build(
            around(method, behaviour),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: str, behaviour: Any) -> Any:
        async def handle(request: Any, context: Context) -> Any:
            async with self._around(method, context):
                response = await behaviour(_checked(request), context)
                await _begin(context)
                return response

        return handle

    def _stream(self, method: str, behaviour: Any) -> Any:
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._around(method, context):
                begun = False
                async for response in behaviour(_checked(request), context):
                    if not begun:
                        begun = True
                        await _begin(context)
                    yield response

        return handle

    @asynccontextmanager
    async def _around(self, method: str, context: Context) -> AsyncIterator[None]:
        call = Call(method, context, dict(context.invocation_metadata() or ()))
        async with _observe(call), _map_errors(call):
            rule = rules.rule_of(method)
            if rule is None:
                raise Unimplemented(
                    f"{method} declares no rule, so nobody may call it.",
                    metadata={"method": method},
                )
            async with asyncio.timeout(_allowed(rule)) as limit:
                call_context.set_deadline(_end_of(call, limit.when()))
                await self._authenticate(call, rule)
                yield

    async def _authenticate(self, call: Call, rule: MethodRule) -> None:
        kind, _, token = call.text("authorization").partition(" ")
        if kind.lower() != "bearer" or not token:
            if rule.public:
                return
            raise TokenMissing("The call carries no token. Send `authorization: Bearer <token>`.")
        if rule.public:  # a bad token does not close an open door
            return
        caller = await self._verifier.verify(token.strip())
        if not rule.authenticated and (not rule.scope or rule.scope not in caller.scopes):
            raise ScopeMissing(
                f"The token lacks the scope '{rule.scope}'. Use an API key that holds it.",
                metadata={"scope": rule.scope},
            )
        call_context.set_caller(caller)


@asynccontextmanager
async def _observe(call: Call) -> AsyncIterator[None]:
    given = call.text("x-request-id")
    request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
    trace = call.text("traceparent")
    if not _TRACEPARENT.fullmatch(trace):
        trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    call_context.set_ids(request_id, trace)
    metrics.OPEN.labels(call.method).inc()
    try:
        yield
    except asyncio.CancelledError:
        call.code = "CANCELLED"
        raise
    except BaseException:
        call.code = "UNKNOWN" if call.code == "OK" else call.code
        raise
    finally:
        seconds = time.perf_counter() - call.started
        metrics.OPEN.labels(call.method).dec()
        metrics.HANDLED.labels(call.method, call.code).inc()
        metrics.SECONDS.labels(call.method).observe(seconds)
        log.debug(
            "call",
            extra={"method": call.method, "code": call.code, "ms": round(seconds * 1000, 2)},
        )


async def _begin(context: Context) -> None:
    """Send the first headers, not before there is a message: a refusal that comes without them
    has the status of an error over REST, and can be tried again by the gateway.
    """
    await context.send_initial_metadata((("x-request-id", call_context.request_id()),))


@asynccontextmanager
async def _map_errors(call: Call) -> AsyncIterator[None]:
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit, grpc.aio.AbortError):
        raise
    except grpc.aio.AioRpcError as error:
        status = relayed(error, _service_of(error))
        call.code = grpc_name(status.code)
        await abort(call.context, status)
    except Exception as error:
        known = to_mesh_error(error, call_context.request_id())
        call.code = known.code
        if isinstance(known, Internal):
            log.exception("unforeseen error", extra={"method": call.method})
        await abort(call.context, to_status(known))


def grpc_name(number: int) -> str:
    """Return the name of a canonical code, such as ``NOT_FOUND`` for 5."""
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def _service_of(error: grpc.aio.AioRpcError) -> str:
    for key, value in error.initial_metadata() or ():
        if key == "x-mesh-service":
            return str(value)
    return "other"


def _allowed(rule: MethodRule) -> float | None:
    # The shorter deadline of a client needs no help: grpc cancels the call itself.
    return None if rule.watch else rules.maximum_deadline(rule)


def _end_of(call: Call, limit: float | None) -> float | None:
    left = call.context.time_remaining()
    ends = None if left is None else asyncio.get_running_loop().time() + left
    return min((e for e in (ends, limit) if e is not None), default=None)


def _checked(request: Any) -> Any:
    if isinstance(request, Message):
        validate(request)
        return request
    return _each_checked(request)


async def _each_checked(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        validate(request)
        yield request
