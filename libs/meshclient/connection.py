"""One connection to the gateway: tokens, retries and decoded errors for every call."""

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.protobuf.message import Message

from meshclient.errors import MeshClientError, ProfileError, decode
from meshclient.tokens import TokenKeeper
from meshkit.channel import channel

_RENEWABLE = {"TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_MISSING"}
_PASSING = {"UNAVAILABLE", "ABORTED", "RESOURCE_EXHAUSTED"}
_STALE = {"ETAG_MISMATCH"}  # ABORTED, and no repeat of the same request can succeed
Attempt = Callable[[grpc.aio.Metadata], Awaitable[Any]]
_LONGEST_WAIT = 5.0
_SILENCE = 50.0  # three checkpoints that did not come: what carries the stream is dead


def open_channel(address: str, *services: str) -> grpc.aio.Channel:
    """Return a channel to ``host:port`` (plaintext) or ``https://host[:port]`` (TLS)."""
    if "://" not in address:
        return channel(address, *services)
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ProfileError(
            f"'{address}' is no address: host:port, or https://host.",
            code="INVALID_ARGUMENT",
            reason="PROFILE_INVALID",
        )
    if url.scheme == "http":
        return channel(f"{url.hostname}:{url.port or 80}", *services)
    return channel(
        f"{url.hostname}:{url.port or 443}", *services, credentials=grpc.ssl_channel_credentials()
    )


class Connection:
    """Calls with a token that is renewed in time, and with the same request over all retries.

    ``address`` is only said in errors; ``patience`` is how long in seconds a call waits out a mesh
    that restarts.
    """

    def __init__(self, tokens: TokenKeeper, *, address: str = "", patience: float = 20.0) -> None:
        self._tokens = tokens
        self._address = address
        self._patience = patience
        self._reached = False

    async def unary(self, method: Any, request: Any, *, patience: float | None = None) -> Any:
        """Make a call with one reply: a read, or a change whose request carries a request id.

        A request id is part of the request, so a retry is answered and not done twice.
        ``patience`` overrides the connection's.
        """
        return await self.repeated(_unary(method, request), patience=patience)

    async def open(self, method: Any, request: Message) -> Any:
        """Make a call that needs no token."""
        return await self.repeated(_unary(method, request), with_token=False)

    async def repeated(
        self, attempt: Attempt, *, with_token: bool = True, patience: float | None = None
    ) -> Any:
        """Await ``attempt(metadata)`` until it succeeds or is not worth repeating."""
        retry = Retry(self._patience if patience is None else patience)
        request_id, refused = str(uuid.uuid4()), ""
        while True:
            token = await self._tokens.fresh(refused) if with_token else ""
            try:
                reply = await attempt(_metadata(request_id, token))
            except grpc.aio.AioRpcError as error:
                fault = decode(error, request_id)
                # A new token is tried once; the second refusal is about the key, not the token.
                refused = token if fault.reason in _RENEWABLE and not refused else ""
                if not refused:
                    await self._before_next(fault, retry)
            else:
                self._reached = True
                return reply

    async def _before_next(self, fault: MeshClientError, retry: "Retry") -> None:
        """Wait until a repetition makes sense; raise the fault when it never will."""
        passing = fault.code in _PASSING and fault.reason not in _STALE
        if fault.code == "RESOURCE_EXHAUSTED" and fault.retry_after is None:
            passing = False
        # A mesh that was never there is not waited for: the address is wrong or nothing runs.
        if fault.reason == "MESH_UNREACHABLE" and not self._reached:
            raise _unreachable(self._address)
        if not passing:
            raise fault
        await retry.wait(fault)

    async def stream(self, method: Any, request: Message) -> AsyncIterator[Any]:
        """Yield the messages of a stream that has an end; retried only before its first message."""
        call, first = await self.repeated(_opening(method, request))
        try:
            while first is not grpc.aio.EOF:
                yield first
                first = await call.read()
        except grpc.aio.AioRpcError as error:
            raise decode(error) from None
        finally:
            call.cancel()

    async def watch(
        self,
        method: Any,
        request_after: Callable[[str], Message],
        *,
        cursor: str = "",
        last: Callable[[Any], bool] = lambda message: False,
        patience: float | None = None,
        broken: Callable[[MeshClientError], None] = lambda fault: None,
    ) -> AsyncGenerator[Any, None]:
        """Yield the messages of a watch, through expiries, drains and restarts of the mesh.

        ``request_after(cursor)`` makes the request that resumes. Each message carries the cursor
        after it, so nothing is lost and nothing comes twice but the state that opens a stream. Ends
        after the message for which ``last`` holds; a stream that ends before is resumed.
        ``broken(fault)`` is called each time that the stream broke, before it is resumed;
        ``patience`` is how long in seconds that is tried.
        """
        patience = self._patience if patience is None else patience
        retry = Retry(patience)
        while True:
            opening = _opening(method, request_after(cursor))
            call, message = await self.repeated(opening, patience=patience)
            fault = _ended()
            try:
                while message is not grpc.aio.EOF:
                    cursor = message.cursor or cursor
                    yield message
                    if last(message):
                        return
                    async with asyncio.timeout(_SILENCE):
                        message = await call.read()
                    retry = Retry(patience)
            except grpc.aio.AioRpcError as error:
                fault = decode(error)
            except TimeoutError:
                fault = _silent()
            finally:
                call.cancel()
            if fault.reason in _RENEWABLE:
                self._tokens.discard()
            elif fault.code != "UNAVAILABLE":
                raise fault
            broken(fault)
            await retry.wait(fault)


class Retry:
    """Waits between attempts, longer each time, until ``patience`` seconds are used up."""

    def __init__(self, patience: float) -> None:
        self._left = patience
        self._next = 0.1

    async def wait(self, fault: MeshClientError) -> None:
        """Wait as long as the fault asks, or the next step; raise the fault when time is up."""
        delay = fault.retry_after or self._next * random.uniform(0.7, 1.3)
        self._next = min(self._next * 2, _LONGEST_WAIT)
        if delay > self._left:
            raise fault from None
        self._left -= delay
        await asyncio.sleep(delay)


def _unary(method: Any, request: Any) -> Attempt:
    async def attempt(metadata: grpc.aio.Metadata) -> Any:
        return await method(request, metadata=metadata)

    return attempt


def _opening(method: Any, request: Message) -> Attempt:
    """Return an attempt that opens a stream and reads its first message."""

    async def attempt(metadata: grpc.aio.Metadata) -> tuple[Any, Any]:
        call = method(request, metadata=metadata)
        try:
            return call, await call.read()
        except BaseException:
            call.cancel()
            raise

    return attempt


def _metadata(request_id: str, token: str) -> grpc.aio.Metadata:
    metadata = grpc.aio.Metadata(("x-request-id", request_id))
    if token:
        metadata.add("authorization", f"Bearer {token}")
    return metadata


def _unreachable(address: str) -> MeshClientError:
    return MeshClientError(
        f"Nothing answers at {address}.", code="UNAVAILABLE", reason="MESH_UNREACHABLE"
    )


def _silent() -> MeshClientError:
    return MeshClientError(
        f"The stream has been silent for {_SILENCE:g} s.", code="UNAVAILABLE", reason="DRAINING"
    )


def _ended() -> MeshClientError:
    return MeshClientError("The server ended the stream.", code="UNAVAILABLE", reason="DRAINING")
