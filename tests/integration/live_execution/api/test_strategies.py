"""Strategies of a trader: looked up, pinned, added, started, stopped, removed: EX-157, EX-158."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from integration.failures import failure
from integration.live_execution.api.conftest import SCOPES, Api, new_id, spec, until
from integration.strategy.conftest import opened, servicer
from mesh.execution.v1 import order_pb2
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc
from mesh.strategy.v1 import strategy_pb2
from mesh.strategy.v1 import strategy_service_pb2 as strategy_rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import (
    StrategyServiceStub,
    add_StrategyServiceServicer_to_server,
)
from meshkit.channel import channel
from meshkit.server import MeshServer
from services.strategy import examples

EMA = (Path(examples.__file__).parent / "ema_cross.py").read_text()
CONFIG = {
    "instrument_id": "BTCUSDT.BINANCE",
    "bar_type": "BTCUSDT.BINANCE-1-MINUTE-LAST-INTERNAL",
    "trade_size": "1",
}


@pytest.fixture
async def version(api: Api, database_url: str) -> Any:
    """Serve strategies, with one loaded; give its version."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            MeshServer(name="s", listen=f"unix:{api.folder}/s.sock", keys=api.signer, grace=1.0)
        )
        database = await stack.enter_async_context(opened(database_url))
        add_StrategyServiceServicer_to_server(servicer(database), server.grpc)
        await server.start("mesh.strategy.v1.StrategyService")
        token = api.signer.token(*SCOPES)
        to = await stack.enter_async_context(channel(server.listen, token=token))
        files = [strategy_pb2.SourceFile(path="ema.py", text=EMA)]
        made = await StrategyServiceStub(to).CreateStrategy(  # type: ignore[misc]  # asyncio's
            strategy_rpc.CreateStrategyRequest(
                request_id=new_id(),
                strategy_id="ema",
                kind=strategy_pb2.COMPONENT_KIND_STRATEGY,
                source=strategy_pb2.StrategySource(files=files),
            )
        )
        yield made.version.version


def strategy(tag: str = "001", **more: Any) -> pb.TraderStrategy:
    """Return a strategy of the trader."""
    made = pb.TraderStrategy(**{"order_id_tag": tag, "strategy_id": "ema", **more})
    if not made.HasField("config"):
        made.config.update(CONFIG)
    return made


async def test_ex157_strategies_of_a_trader(api: Api, version: str) -> None:
    """EX-157: a version is pinned in full; one more is added to a running trader with its code,
    stopped, started and removed; each change is a command that the trader takes, and a restart
    has what is left.
    """
    await api.create(spec=spec(strategies=[strategy(version=version[:8])]))
    running = await api.reaches("RUNNING")
    assert running.spec.strategies[0].version == version
    assert running.strategies[0].state == pb.STRATEGY_STATE_PENDING
    ids: dict[str, Any] = {"trader_id": "T-1"}
    add = rpc.AddStrategyRequest(request_id=new_id(), **ids, strategy=strategy("002"))
    added = await api.traders.AddStrategy(add)
    assert (await api.traders.AddStrategy(add)) == added
    assert added.command.kind == "ADD_STRATEGY"
    assert added.command.state == order_pb2.COMMAND_STATE_ACCEPTED
    assert [each.version for each in added.trader.spec.strategies] == [version, version]
    tagged = {**ids, "order_id_tag": "002"}
    stop = rpc.StopStrategyRequest(request_id=new_id(), **tagged, cancel_orders=True)
    assert (await api.traders.StopStrategy(stop)).trader.spec.strategies[1].stopped
    start = rpc.StartStrategyRequest(request_id=new_id(), **tagged)
    assert not (await api.traders.StartStrategy(start)).trader.spec.strategies[1].stopped
    remove = {**ids, "order_id_tag": "001"}
    removal = rpc.RemoveStrategyRequest(request_id=new_id(), **remove, close_positions=True)
    assert (await api.traders.RemoveStrategy(removal)).command.kind == "REMOVE_STRATEGY"
    await until(lambda: _all_done(api, 4))
    commands = await _commands(api)
    assert [each.strategy.action for each in commands] == [
        order_pb2.STRATEGY_ACTION_ADD,
        order_pb2.STRATEGY_ACTION_STOP,
        order_pb2.STRATEGY_ACTION_START,
        order_pb2.STRATEGY_ACTION_REMOVE,
    ]
    assert b"class EmaCross" in commands[0].strategy.component
    assert commands[1].strategy.cancel_orders
    assert commands[3].strategy.close_positions
    await api.traders.StopTrader(rpc.StopTraderRequest(request_id=new_id(), **ids))
    await api.reaches("STOPPED")
    unable = rpc.StartStrategyRequest(request_id=new_id(), **tagged)
    assert (await failure(api.traders.StartStrategy(unable))).reason == "TRADER_NOT_RUNNING"
    quiet = rpc.StopStrategyRequest(request_id=new_id(), **tagged)
    assert not (await api.traders.StopStrategy(quiet)).HasField("command")
    await api.traders.StartTrader(rpc.StartTraderRequest(request_id=new_id(), **ids))
    await api.reaches("RUNNING")
    assert await api.log(contains="begins") == ["begins with 1 strategies"] * 2
    listed = (await api.traders.ListTraders(rpc.ListTradersRequest())).traders[0]
    assert not listed.spec.strategies[0].HasField("config")


async def test_ex158_strategies_that_do_not_fit(api: Api, version: str) -> None:
    """EX-158: unknown strategies and versions, configs off their schema, tags that are taken."""
    misfit = strategy(config={"bar_type": 7})
    for wrong, reason in (
        (strategy(strategy_id="none"), "STRATEGY_NOT_FOUND"),
        (strategy(version="0" * 64), "STRATEGY_VERSION_NOT_FOUND"),
        (misfit, "STRATEGY_CONFIG_INVALID"),
    ):
        request = rpc.CreateTraderRequest(
            request_id=new_id(), trader_id="S-1", spec=spec(strategies=[wrong])
        )
        refused = await failure(api.traders.CreateTrader(request))
        assert refused.reason == reason
    assert any(name.startswith("spec.strategies[0].config") for name in refused.fields)
    await api.create("S-1", spec=spec(strategies=[strategy()]), start=False)
    for wrong, reason, field in (
        (strategy(), "TRADER_SPEC_INVALID", "strategy.order_id_tag"),
        (strategy("MANUAL"), "TRADER_SPEC_INVALID", "strategy.order_id_tag"),
        (strategy("2", strategy_id="none"), "STRATEGY_NOT_FOUND", ""),
        (strategy("2", config={"bar_type": 7}), "STRATEGY_CONFIG_INVALID", "strategy.config"),
    ):
        add = rpc.AddStrategyRequest(request_id=new_id(), trader_id="S-1", strategy=wrong)
        refused = await failure(api.traders.AddStrategy(add))
        assert refused.reason == reason
        assert not field or any(name.startswith(field) for name in refused.fields)
    assert len((await api.get("S-1")).spec.strategies) == 1


async def _commands(api: Api) -> list[order_pb2.TraderCommand]:
    async with api.database.connection() as tx:
        rows = await tx.fetch("SELECT body FROM commands ORDER BY create_time")
    return [order_pb2.TraderCommand.FromString(row["body"]) for row in rows]


async def _all_done(api: Api, count: int) -> bool:
    async with api.database.connection() as tx:
        done = await tx.fetchval("SELECT count(*) FROM commands WHERE state = 'DONE'")
    return bool(done == count)
