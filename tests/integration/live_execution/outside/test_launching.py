"""What launcher and trader tell each other over the socket."""

import asyncio
import socket

import msgspec
import pytest

from integration.live_execution.outside.kit import World
from services.live_execution.trader import frames, start
from services.live_execution.trader.frames import Answer, Ask
from services.live_execution.trader.outside import open_outside
from services.live_execution.trader.ports import SecretsRefused, Ticket


async def test_ex_117_a_ticket_and_secrets_go_over_one_socket(world: World) -> None:
    """EX-117: the ticket first; then a question with the fence, answered or refused."""
    launcher, trader = socket.socketpair()
    start.send(launcher, world.ticket())
    ticket = start.receive(trader.fileno())
    assert ticket == world.ticket()
    async with open_outside(ticket, trader, asyncio.get_running_loop()) as outside:
        asked = asyncio.create_task(_serve(launcher))
        assert await outside.secrets("binance") == {"api_key": "k"}
        with pytest.raises(SecretsRefused, match="expired") as refused:
            await outside.secrets("other")
        assert refused.value.reason == "CREDENTIAL_EXPIRED"
        assert await asked == [Ask("binance", outside.fence), Ask("other", outside.fence)]
        with pytest.raises(SecretsRefused, match="gone away") as refused:
            await outside.secrets("binance")
        assert refused.value.reason == "SERVICE_UNAVAILABLE"
    trader.close()


async def _serve(launcher: socket.socket) -> list[Ask]:
    reader, writer = await asyncio.open_unix_connection(sock=launcher)
    asks = []
    for answer in (
        Answer(secrets={"api_key": "k"}),
        Answer(reason="CREDENTIAL_EXPIRED", message="It has expired."),
    ):
        asks.append(frames.unpack(await frames.read(reader), Ask))
        writer.write(frames.pack(answer))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    return asks


def test_ex_117_a_launcher_that_goes_away_is_told(world: World) -> None:
    """EX-117: a ticket that does not come whole is an error, and the socket stays the caller's."""
    launcher, trader = socket.socketpair()
    with launcher, trader:
        launcher.sendall(frames.pack(world.ticket())[:-1])
        launcher.close()
        with pytest.raises(ConnectionError):
            start.receive(trader.fileno())
        assert trader.fileno() >= 0


def test_a_ticket_comes_back_whole(world: World) -> None:
    """A ticket is the same after the way, with the components in it."""
    ticket = world.ticket(safety_mode=True)
    assert frames.unpack(msgspec.msgpack.encode(ticket), Ticket) == ticket
