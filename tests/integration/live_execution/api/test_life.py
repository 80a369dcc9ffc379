"""The life of a trader's process, driven by what is wanted: cases EX-140 to EX-146."""

import os
import signal
from pathlib import Path
from typing import Any

from integration.failures import failure
from integration.live_execution.api.conftest import SCOPES, Api, live, new_id, spec, until
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc


def start(trader_id: str = "T-1") -> rpc.StartTraderRequest:
    """Return a request to start."""
    return rpc.StartTraderRequest(request_id=new_id(), trader_id=trader_id)


def stop(trader_id: str = "T-1", **more: Any) -> rpc.StopTraderRequest:
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


async def test_ex141_kill_9_of_a_trader_and_of_the_service(killable: Api) -> None:
    """EX-141: a trader outlives the service, is taken up by the next one, and comes back itself."""
    await killable.create()
    first = (await killable.reaches("RUNNING")).process
    os.kill(first.pid, signal.SIGKILL)
    second = await killable.reaches("RUNNING", fence=2)
    assert second.process.restarts == 1
    killable.kill(killable.processes[-1])
    await killable.start()
    adopted = (await killable.get()).process
    assert (adopted.pid, adopted.fence) == (second.process.pid, 2)
    os.kill(second.process.pid, signal.SIGKILL)
    third = await killable.reaches("RUNNING", fence=3)
    assert third.process.restarts == 2
    killable.kill(killable.processes[-1])
    os.kill(third.process.pid, signal.SIGKILL)  # nobody sees it die
    await killable.start()
    fourth = await killable.reaches("RUNNING", fence=4)
    await killable.traders.StopTrader(stop())
    await killable.reaches("STOPPED")
    async with killable.database.connection() as tx:
        numbers = await tx.fetchval(
            "SELECT count(*) = max(number) FROM facts WHERE stream LIKE 'facts:live_execution:%'"
        )
    assert numbers, fourth


async def test_ex142_two_services_keep_one_process(killable: Api) -> None:
    """EX-142: of two services one keeps the traders; when it is killed the other goes on."""
    await killable.start("second")
    made = [await killable.create(f"T-{number}") for number in range(3)]
    before = [(await killable.reaches("RUNNING", each.trader_id)).process for each in made]
    assert [each.fence for each in before] == [1, 1, 1]
    keeper = await until(lambda: killable.keeper())
    killable.kill(keeper)
    os.kill(before[0].pid, signal.SIGKILL)
    if keeper is killable.processes[1]:
        await killable.connect("api")
    assert (await killable.reaches("RUNNING", "T-0", fence=2)).process.restarts == 1
    after = [(await killable.get(f"T-{n}")).process for n in (1, 2)]
    assert [(p.pid, p.fence) for p in after] == [(p.pid, 1) for p in before[1:]]
    assert killable.trader_processes() == 3


async def test_ex143_a_trader_that_cannot_live(api: Api) -> None:
    """EX-143: one that dies again and again has FAILED, with its log; one that gives up at once."""
    await api.create("D-1", spec=spec("DIE"))
    await api.create("G-1", spec=spec("GIVEUP"))
    failed = await api.reaches("FAILED", "D-1")
    assert failed.reason == "TRADER_FAILED"
    assert "ended with code 1, 4 times" in failed.message
    assert "it dies of this" in failed.message
    assert failed.process.pid == 0
    assert not failed.wanted
    gave_up = await until(lambda: api.gone("G-1"))
    assert (gave_up.state, gave_up.reason) == (pb.TRADER_STATE_FAILED, "STRATEGY_LOAD_FAILED")
    assert len(await api.log("G-1", contains="fence")) == 1
    update = rpc.UpdateTraderRequest(request_id=new_id(), trader_id="D-1", spec=spec())
    await api.traders.UpdateTrader(update)
    await api.traders.StartTrader(start("D-1"))
    assert (await api.reaches("RUNNING", "D-1")).process.restarts == 0


async def test_ex144_a_trader_that_does_not_answer(api: Api) -> None:
    """EX-144: a stopped process is shown and comes back; for a flatten it is replaced by one in
    safety mode; one that does not heed SIGTERM is killed; commands of a stop are carried out
    before it or not at all.
    """
    await api.create("S-1")
    pid = (await api.reaches("RUNNING", "S-1")).process.pid
    os.kill(pid, signal.SIGSTOP)
    silent = await api.reaches("DEGRADED", "S-1")
    assert silent.reason == "TRADER_UNRESPONSIVE"
    os.kill(pid, signal.SIGCONT)
    assert (await api.reaches("RUNNING", "S-1")).process.pid == pid
    os.kill(pid, signal.SIGSTOP)
    await api.want_safety("S-1", on=True)
    await api.reaches("RUNNING", "S-1", fence=2)
    assert "fence 2 safety True" in await api.log("S-1")
    await api.want_safety("S-1", on=False)
    await api.reaches("RUNNING", "S-1", fence=3)
    assert "fence 3 safety False" in await api.log("S-1")
    await api.traders.StopTrader(stop("S-1", cancel_orders=True, close_positions=True))
    await api.reaches("STOPPED", "S-1")
    assert await api.log("S-1", contains="takes") == ["takes cancel_all", "takes close"]

    await api.create("S-2", spec=spec("STAY"))
    pid = (await api.reaches("RUNNING", "S-2")).process.pid
    os.kill(pid, signal.SIGSTOP)
    await api.traders.StopTrader(stop("S-2", close_positions=True))
    await api.reaches("STOPPED", "S-2")
    async with api.database.connection() as tx:
        states = await tx.fetch("SELECT state FROM commands WHERE trader_id = 'S-2'")
        left = await tx.fetchval("SELECT count(*) FROM outbox WHERE NOT done")
    assert [row["state"] for row in states] == ["EXPIRED"]
    assert left == 0


async def test_ex145_traders_that_shall_end_with_the_service(unserved: Api) -> None:
    """EX-145: told so, the service stops its traders when it is stopped, and they come back."""
    process = await unserved.start(MESH_TRADERS_STAY="false")
    await unserved.create()
    first = (await unserved.reaches("RUNNING")).process
    process.terminate()
    await until(lambda: unserved.is_over(process))
    assert unserved.trader_processes() == 0
    await unserved.start()
    again = await unserved.reaches("RUNNING", fence=2)
    assert again.process.restarts == first.restarts == 0
    assert (await unserved.log(contains="fence"))[-1] == "fence 2 safety False"


async def test_ex146_secrets_go_to_the_holder_of_the_lease(api: Api) -> None:
    """EX-146: a trader gets the secrets that its spec names, and has none in its environment."""
    api.traders = await api.stub(*SCOPES, "trader.deploy")
    await api.credential()
    await api.create("C-1", spec=spec("SECRET", venues=[live()]))
    process = (await api.reaches("RUNNING", "C-1")).process
    assert await api.log("C-1", contains="secrets") == ["2 secrets"]
    environment = Path(f"/proc/{process.pid}/environ").read_text()
    assert "MESH_" not in environment
    arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
    assert "token" not in arguments
    assert "default/C-1" in arguments


async def test_ex147_the_real_process_in_safety_mode(unserved: Api) -> None:
    """EX-147: a trader with its engine, wanted for a flatten alone: it starts without its data,
    comes back after a kill with all that it recorded, and ends when it is no longer wanted.
    """
    await unserved.start(ENGINE="yes")
    await unserved.create(start=False)
    await unserved.want_safety("T-1", on=True)
    first = await unserved.reaches("RUNNING")
    os.kill(first.process.pid, signal.SIGKILL)
    second = await unserved.reaches("RUNNING", fence=2)
    assert second.process.restarts == 1
    assert second.fact_number > first.fact_number
    await unserved.want_safety("T-1", on=False)
    await unserved.traders.StopTrader(stop())
    await unserved.reaches("STOPPED")
    assert unserved.trader_processes() == 0
