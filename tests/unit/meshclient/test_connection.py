"""Calls over a real gRPC server: tokens, retries, streams that break and go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.backtest.v1 import backtest_pb2, backtest_service_pb2
from mesh.backtest.v1 import backtest_service_pb2_grpc as stubs
from meshclient.connection import Connection, open_channel
from meshclient.errors import MeshClientError, ProfileError
from meshclient.tokens import Token, TokenKeeper

Handler = Callable[[Any, Any], Awaitable[Any]]
Get = backtest_service_pb2.GetBacktestRequest
Watched = backtest_service_pb2.WatchBacktestResponse


_Base: Any = stubs.BacktestServiceServicer  # its stub is abstract; two methods are enough here


class Service(_Base):
    """Answers each call with the next entry of a script: a code and a text, or a reply."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def _next(self, request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        cursor = getattr(request, "after_cursor", "")
        self.seen.append((cursor, metadata))
        return self.script.pop(0)

    async def GetBacktest(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Answer with the next entry."""
        match self._next(request, context):
            case (code, text):
                await context.abort(code, text)
            case reply:
                return reply

    async def WatchBacktest(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Send the messages of the next entry, then end as its last element says."""
        for each in self._next(request, context):
            match each:
                case (code, text):
                    await context.abort(code, text)
                case message:
                    yield message


class Mesh:
    """A server, a connection to it, and how many tokens were exchanged."""

    def __init__(self, service: Service, channel: grpc.aio.Channel) -> None:
        self.service = service
        self.exchanged = 0
        self.connection = Connection(TokenKeeper(self._exchange), patience=3.0)
        self.stub: Any = stubs.BacktestServiceStub(channel)

    async def _exchange(self) -> Token:
        self.exchanged += 1
        return Token(f"token-{self.exchanged}", expires_at=2e12)

    async def get(self) -> Any:
        """Make the unary call."""
        return await self.connection.unary(self.stub.GetBacktest, Get(backtest_id="b"))

    async def watch(self) -> list[str]:
        """Watch to the message whose cursor is `end`; return the cursors."""

        def after(cursor: str) -> Any:
            return backtest_service_pb2.WatchBacktestRequest(after_cursor=cursor)

        stream = self.connection.watch(
            self.stub.WatchBacktest, after, last=lambda message: message.cursor == "end"
        )
        return [message.cursor async for message in stream]


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    """Give a server on a free port and a connection to it."""
    server, service = grpc.aio.server(), Service()
    stubs.add_BacktestServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = open_channel(f"127.0.0.1:{port}", "mesh.backtest.v1.BacktestService")
    yield Mesh(service, channel)
    await channel.close()
    await server.stop(None)


REPLY = backtest_service_pb2.GetBacktestResponse(backtest=backtest_pb2.Backtest(backtest_id="b"))
EXPIRED = (grpc.StatusCode.UNAUTHENTICATED, "Jwt is expired")
AWAY = (grpc.StatusCode.UNAVAILABLE, "no healthy upstream")


def _at(*cursors: str) -> list[Any]:
    return [Watched(cursor=cursor) for cursor in cursors]


async def test_mc_07_an_expired_token_is_renewed_once(mesh: Mesh) -> None:
    """MC-07: the call is repeated with a new token and the same request id."""
    mesh.service.script = [EXPIRED, REPLY]
    assert (await mesh.get()).backtest.backtest_id == "b"
    tokens = [metadata["authorization"] for _, metadata in mesh.service.seen]
    assert tokens == ["Bearer token-1", "Bearer token-2"]
    assert len({metadata["x-request-id"] for _, metadata in mesh.service.seen}) == 1


async def test_mc_07_a_key_that_is_refused_twice_is_an_error(mesh: Mesh) -> None:
    """MC-07: a second refusal is told, not repeated for ever."""
    mesh.service.script = [EXPIRED, EXPIRED]
    with pytest.raises(MeshClientError) as caught:
        await mesh.get()
    assert caught.value.reason == "TOKEN_EXPIRED"
    assert mesh.exchanged == 2


async def test_mc_08_a_restart_is_waited_out(mesh: Mesh) -> None:
    """MC-08: a call goes on when services come back, beyond the retries of the channel."""
    mesh.service.script = [AWAY] * 5 + [REPLY]
    assert (await mesh.get()).backtest.backtest_id == "b"


async def test_mc_08_a_clash_is_repeated_and_a_stale_etag_is_not(mesh: Mesh) -> None:
    """MC-08: ABORTED is repeated; what cannot succeed is told at once."""
    mesh.service.script = [(grpc.StatusCode.ABORTED, "clash"), REPLY]
    await mesh.get()
    mesh.service.script = [(grpc.StatusCode.NOT_FOUND, "gone"), REPLY]
    with pytest.raises(MeshClientError):
        await mesh.get()
    assert len(mesh.service.script) == 1


async def test_mc_08_an_address_with_nothing_behind_is_told_at_once() -> None:
    """MC-08: a mesh that was never there is not waited for."""
    channel = open_channel("127.0.0.1:1", "mesh.backtest.v1.BacktestService")
    mesh = Mesh(Service(), channel)
    with pytest.raises(MeshClientError) as caught:
        await mesh.get()
    assert caught.value.reason == "MESH_UNREACHABLE"
    await channel.close()


async def test_mc_09_a_watch_goes_on_after_the_last_cursor(mesh: Mesh) -> None:
    """MC-09: expiry, loss, and an orderly end each resume after the last cursor."""
    mesh.service.script = [
        [*_at("1", "2"), EXPIRED],
        [*_at("3"), AWAY],
        _at("4"),
        _at("5", "end"),
    ]
    assert await mesh.watch() == ["1", "2", "3", "4", "5", "end"]
    assert [cursor for cursor, _ in mesh.service.seen] == ["", "2", "3", "4"]
    assert mesh.exchanged == 2


async def test_mc_09_a_trimmed_cursor_is_told(mesh: Mesh) -> None:
    """MC-09: what cannot be resumed is an error of the caller's."""
    mesh.service.script = [[*_at("1"), (grpc.StatusCode.OUT_OF_RANGE, "trimmed")]]
    with pytest.raises(MeshClientError) as caught:
        await mesh.watch()
    assert caught.value.code == "OUT_OF_RANGE"


async def test_mc_07_concurrent_calls_share_one_exchange(mesh: Mesh) -> None:
    """MC-07: a token is exchanged once for many calls."""
    mesh.service.script = [REPLY] * 8
    await asyncio.gather(*(mesh.get() for _ in range(8)))
    assert mesh.exchanged == 1


async def test_mc_07_a_token_is_renewed_before_it_expires() -> None:
    """MC-07: at four fifths of its life a token is replaced."""
    now, made = [1000.0], []

    async def exchange() -> Token:
        made.append(now[0])
        return Token(str(len(made)), expires_at=now[0] + 300)

    keeper = TokenKeeper(exchange, clock=lambda: now[0])
    assert await keeper.fresh() == "1"
    now[0] = 1239.0
    assert await keeper.fresh() == "1"
    now[0] = 1240.0
    assert await keeper.fresh() == "2"
    assert await keeper.fresh(refused="2") == "3"


@pytest.mark.parametrize("address", ["ftp://x", "https://"])
def test_an_address_that_is_none(address: str) -> None:
    """A scheme that is not known, or a missing host, is told with the right form."""
    with pytest.raises(ProfileError, match="host:port"):
        open_channel(address)
