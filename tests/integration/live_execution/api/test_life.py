"""The life of a trader's process, driven by what is wanted: cases EX-140 to EX-146."""

import os
import signal

from integration.failures import failure
from integration.live_execution.api.conftest import Api, new_id, until
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc


def start(trader_id: str = "T-1") -> rpc.StartTraderRequest:
    """Return a request to start."""
    return rpc.StartTraderRequest(request_id=new_id(), trader_id=trader_id)


def stop(trader_id: str = "T-1", **more: bool) -> rpc.StopTraderRequest:
    """Return a request to stop."""
    return rpc.StopTraderRequest(request_id=new_id(), trader_id=trader_id, **more)


async def test_ex140_a_trader_from_create_to_delete(api: Api) -> None:
    """EX-140: made and started, stopped, started again, read in its log, stopped and deleted."""
    made = await api.create(labels={"desk": "fx"})
    assert made.state == pb.TRADER_STATE_PENDING
    assert made.wanted
    first = await api.reaches("RUNNING")
    assert first.process.fence == 1
    assert not first.process.restarts
    assert (await api.traders.StartTrader(start())).trader.process.pid == first.process.pid
    assert not (await api.traders.StopTrader(stop())).trader.wanted
    await api.reaches("STOPPED")
    again = (await api.traders.StartTrader(start())).trader
    assert again.wanted
    second = await api.reaches("RUNNING")
    assert second.process.fence == 2
    assert second.fact_number > first.fact_number
    lines = await api.log()
    assert [line for line in lines if line.startswith("fence")] == [
        "fence 1 safety False",
        "fence 2 safety False",
    ]
    assert await api.log(tail_lines=1, contains="fence") == ["fence 2 safety False"]
    busy = rpc.DeleteTraderRequest(request_id=new_id(), trader_id="T-1")
    assert (await failure(api.traders.DeleteTrader(busy))).reason == "TRADER_RUNNING"
    await api.traders.StopTrader(stop())
    await api.reaches("STOPPED")
    await api.traders.DeleteTrader(rpc.DeleteTraderRequest(request_id=new_id(), trader_id="T-1"))
    assert not list((api.folder / "traders" / "default").iterdir())
    assert (await api.create()).state == pb.TRADER_STATE_PENDING
    third = await api.reaches("RUNNING")
    assert third.process.fence == 3
    assert third.fact_number > second.fact_number
