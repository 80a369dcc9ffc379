"""Watching traders and following their logs: cases EX-154 to EX-156."""

import asyncio
import os
import signal
from typing import Any

import pytest
from grpc.aio import AioRpcError

from integration.failures import unpack
from integration.live_execution.api.conftest import Api, new_id, spec, until
from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import TraderFact
from meshkit import facts
from services.live_execution.names import TraderKey


class Watcher:
    """A client that keeps what it is told: (trader, what), and the cursors after each message."""

    def __init__(self, api: Api, cursor: str = "", **more: Any) -> None:
        request = rpc.WatchTradersRequest(after_cursor=cursor, **more)
        self.call = api.traders.WatchTraders(request)
        self.told: list[tuple[str, str]] = []
        self.cursors: list[tuple[int, str]] = []

    async def attach(self) -> "Watcher":
        """Take the checkpoint that comes first."""
        assert (await self.step()).checkpoint
        return self

    async def step(self) -> rpc.WatchTradersResponse:
        """Take a message."""
        message: rpc.WatchTradersResponse = await asyncio.wait_for(self.call.read(), 30)
        self.told += [(event.subject, what(event)) for event in message.events]
        self.cursors.append((len(self.told), message.cursor))
        return message

    async def hear(self, trader_id: str, *states: str) -> None:
        """Take messages until a trader was told to have these states, in this order."""
        while not _in_order(states, [w for t, w in self.told if t == trader_id]):
            await self.step()


def _in_order(wanted: tuple[str, ...], told: list[str]) -> bool:
    rest = iter(told)
    return all(state in rest for state in wanted)


def what(event: Event) -> str:
    """Return what an event says of a trader: a state, or DELETED."""
    fact, change = TraderFact(), pb.TraderChanged()
    if event.payload.Unpack(fact):
        change = fact.trader
    else:
        assert event.payload.Unpack(change)
    return "DELETED" if change.deleted else pb.TraderState.Name(change.trader.state)[13:]


async def test_ex154_a_watch_resumes(killable: Api) -> None:
    """EX-154: a client that drops anywhere and comes back sees every change of every trader once,
    those too that were made meanwhile; a cursor that is too old gets the oldest usable.
    """
    await killable.create("A-1")
    await killable.reaches("RUNNING", "A-1")
    everything = await Watcher(killable).attach()
    one = await Watcher(killable, trader_ids=["B-1"]).attach()
    made = await killable.create("B-1")
    await everything.hear("B-1", "PENDING", "RUNNING")
    os.kill((await killable.reaches("RUNNING", "A-1")).process.pid, signal.SIGKILL)
    await everything.hear("A-1", "PENDING", "RUNNING")
    for each in ("A-1", "B-1"):
        stop = rpc.StopTraderRequest(request_id=new_id(), trader_id=each)
        await killable.traders.StopTrader(stop)
        await everything.hear(each, "RUNNING", "STOPPED")
        await killable.reaches("STOPPED", each)
    delete = rpc.DeleteTraderRequest(request_id=new_id(), trader_id="B-1")
    await killable.traders.DeleteTrader(delete)
    await everything.hear("B-1", "PENDING", "RUNNING", "STOPPED", "DELETED")
    await one.hear("B-1", "PENDING", "RUNNING", "STOPPED", "DELETED")
    assert {trader for trader, _ in one.told} == {made.trader_id}
    killable.kill(killable.processes[-1])
    await killable.start()
    for seen, cursor in everything.cursors[:: max(len(everything.cursors) // 8, 1)]:
        resumed = await Watcher(killable, cursor).attach()
        rest = sorted(each for each in everything.told[seen:] if each[0] == "A-1")
        while (told := sorted(each for each in resumed.told if each[0] == "A-1")) != rest:
            assert len(told) < len(rest), (told, rest)
            await resumed.step()
    await _trim(killable)
    with pytest.raises(AioRpcError) as refused:
        await Watcher(killable, everything.cursors[0][1]).attach()
    failed = unpack(refused.value)
    assert (failed.code, failed.reason) == ("OUT_OF_RANGE", "CURSOR_TRIMMED")
    await Watcher(killable, failed.metadata["oldest_cursor"]).attach()


async def _trim(api: Api) -> None:
    async with api.database.transaction() as tx:
        await facts.trim(tx, TraderKey("default", "A-1").facts, 3)


async def test_ex155_bad_cursors_and_other_projects(api: Api) -> None:
    """EX-155: a damaged cursor and one of another filter are refused; others' traders untold."""
    watcher = await Watcher(api).attach()
    cursor = watcher.cursors[0][1]
    for bad, more in ((cursor[:-4], {}), (cursor, {"trader_ids": ["A-1"]})):
        with pytest.raises(AioRpcError) as refused:
            await Watcher(api, bad, **more).attach()
        assert unpack(refused.value).reason == "INVALID_CURSOR"
    mine = api.traders
    api.traders = await api.stub(projects=["other"])
    stranger = await Watcher(api).attach()
    await api.create("O-1", start=False)
    await stranger.hear("O-1", "STOPPED")
    api.traders = mine
    await api.create("A-1", start=False)
    await watcher.hear("A-1", "STOPPED")
    assert watcher.told == [("A-1", "STOPPED")]


async def test_ex156_a_log_is_followed_over_restarts(api: Api) -> None:
    """EX-156: the tail, then what later processes write, over a rotation; a deletion ends it."""
    await api.create("L-1")
    pid = (await api.reaches("RUNNING", "L-1")).process.pid
    request = rpc.ReadTraderLogRequest(trader_id="L-1", follow=True, contains="fence")
    call = api.traders.ReadTraderLog(request)
    lines: list[str] = []

    async def follow(last: str) -> None:
        while not lines or not lines[-1].startswith(last):
            lines.extend((await asyncio.wait_for(call.read(), 30)).lines)

    await follow("fence 1")
    os.kill(pid, signal.SIGKILL)
    await follow("fence 2")
    log = next(api.folder.glob("traders/default/*/trader.log"))
    os.truncate(log, 0)
    os.kill((await api.reaches("RUNNING", "L-1", fence=2)).process.pid, signal.SIGKILL)
    await follow("fence 3")
    assert lines == [f"fence {number} safety False" for number in (1, 2, 3)]
    await api.create("N-1", spec=spec(), start=False)
    assert await api.log("N-1") == []
    await api.traders.StopTrader(rpc.StopTraderRequest(request_id=new_id(), trader_id="L-1"))
    await api.reaches("STOPPED", "L-1")
    await until(lambda: api.gone("L-1"))
    delete = rpc.DeleteTraderRequest(request_id=new_id(), trader_id="L-1")
    await api.traders.DeleteTrader(delete)
    with pytest.raises(AioRpcError) as ended:
        await follow("what never comes")
    assert unpack(ended.value).reason == "TRADER_NOT_FOUND"
