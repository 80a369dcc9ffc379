"""The Python client against a whole mesh."""

from dataclasses import replace

import pytest

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as strategy_rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshclient import MeshClient, MeshClientError, Quick, profiles, quick_spec, samples, selection
from meshclient.connection import Connection, open_channel
from meshclient.tokens import Token, TokenKeeper
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

BARS = "USD/JPY.SIM-1-MINUTE-BID-EXTERNAL"


async def test_mc_32_a_run_with_progress(mesh: RunningMesh) -> None:
    """MC-32: run tells each state, and the tables of its result agree with its counts."""
    seen: list[int] = []
    async with MeshClient.from_profile(env=mesh.env) as client:
        run = await client.backtests.run(
            samples.load().spec, name="py", progress=lambda now: seen.append(now.state)
        )
        fills = await client.backtests.table(run.backtest_id, "fills")
        listed = await client.backtests.list(limit=3)
    assert run.state == seen[-1] == pb.BACKTEST_STATE_SUCCEEDED
    assert fills.num_rows == run.result.table_rows["fills"] > 0
    assert run.backtest_id in {each.backtest_id for each in listed}


async def test_mc_33_the_same_run_from_a_few_words(mesh: RunningMesh) -> None:
    """MC-33: what is filled in is a spec that gives the same numbers twice."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        spec = await quick_spec(client, Quick("ema-cross", bars=[BARS]))
        first, second = [await client.backtests.run(spec) for _ in range(2)]
    assert [each.bar_type for each in spec.data] == [BARS, BARS.replace("BID", "ASK")]
    assert spec.venues[0].base_currency == "USD"
    assert first.result.accounts == second.result.accounts


async def test_mc_34_history_whole_and_in_batches(mesh: RunningMesh) -> None:
    """MC-34: a table and its batches are the same rows, and a range cuts them."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        table = await client.data.read(selection(BARS))
        batches = [batch async for batch in client.data.read_batches(selection(BARS))]
        stamp = table["ts_init"][99].as_py().to_pydatetime()
        first = await client.data.read(selection(BARS, end=stamp), columns=["close"])
    assert sum(batch.num_rows for batch in batches) == table.num_rows > 100
    assert first.num_rows == 100
    assert first["close"].equals(table["close"].slice(0, 100))


@pytest.mark.parametrize(
    ("token", "reason"), [("", "TOKEN_MISSING"), ("nonsense", "TOKEN_INVALID")]
)
async def test_mc_35_refusals_of_the_gateway(mesh: RunningMesh, token: str, reason: str) -> None:
    """MC-35: what Envoy itself refuses has the reason that a service would give."""

    async def exchange() -> Token:
        return Token(token, expires_at=2e12)

    channel = open_channel(mesh.gateway, "mesh.strategy.v1.StrategyService")
    stub = StrategyServiceStub(channel)
    request = strategy_rpc.ListStrategiesRequest()
    with pytest.raises(MeshClientError) as caught:
        await Connection(TokenKeeper(exchange)).unary(stub.ListStrategies, request)
    assert caught.value.reason == reason
    assert caught.value.remedy
    await channel.close()


async def test_mc_36_a_project_that_is_not_ours(mesh: RunningMesh) -> None:
    """MC-36: another project is refused by name."""
    profile = replace(profiles.load(env=mesh.env), project="elsewhere")
    async with MeshClient(profile) as client:
        with pytest.raises(MeshClientError) as caught:
            await client.strategies.list()
    assert caught.value.reason == "PROJECT_FORBIDDEN"
    assert caught.value.metadata["project"] == "elsewhere"
