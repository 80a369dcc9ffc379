"""Bad input of each method, with its typed error: cases EX-150 to EX-153."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from integration.failures import Failure, failure
from integration.live_execution.api.conftest import SCOPES, Api, live, new_id, sandbox, spec
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc

REPLAY = pb.DataSource(replay=pb.ReplayData())


def creation(given: pb.TraderSpec, trader_id: str = "B-1", **more: Any) -> rpc.CreateTraderRequest:
    """Return a request that creates a trader."""
    return rpc.CreateTraderRequest(
        request_id=new_id(), trader_id=trader_id, spec=given, **{"start": False, **more}
    )


def strategy(**more: Any) -> pb.TraderStrategy:
    """Return a strategy that is not looked up."""
    return pb.TraderStrategy(**{"order_id_tag": "001", "strategy_id": "ema", **more})


def account(**more: Any) -> pb.TraderVenue:
    """Return a simulated account with other values."""
    made = sandbox()
    made.sandbox.MergeFrom(pb.SandboxVenue(**more))
    return made


def configured(config_json: str) -> pb.TraderVenue:
    """Return a real account with a config."""
    account = pb.LiveVenue(adapter="BINANCE", config_json=config_json)
    return pb.TraderVenue(venue="BINANCE", live=account)


BAD_SPECS: list[tuple[dict[str, Any], str]] = [
    ({"strategies": [strategy(), strategy()]}, "spec.strategies[1].order_id_tag"),
    ({"strategies": [strategy(order_id_tag="SAFETY")]}, "spec.strategies[0].order_id_tag"),
    (
        {"strategies": [strategy(external_order_claims=["BTCUSDT"])]},
        "spec.strategies[0].external_order_claims[0]",
    ),
    ({"venues": [sandbox(), sandbox()]}, "spec.venues[1].venue"),
    (
        {"venues": [account(starting_balances=[Money(amount="1", currency="USDT")])]},
        "spec.venues[0].sandbox.starting_balances",
    ),
    ({"venues": [account(base_currency="BTC")]}, "spec.venues[0].sandbox.starting_balances"),
    (
        {"venues": [account(starting_balances=[Money(amount="-1", currency="BTC")])]},
        "spec.venues[0].sandbox.starting_balances[1].amount",
    ),
    ({"venues": [account(default_leverage="0")]}, "spec.venues[0].sandbox.default_leverage"),
    (
        {"venues": [account(leverages={"ETHUSDT.OKX": "5"})]},
        "spec.venues[0].sandbox.leverages[ETHUSDT.OKX]",
    ),
    ({"data": REPLAY, "venues": [live()]}, "spec.venues[0].live"),
    (
        {"data": pb.DataSource(mesh=pb.MeshData(feed_id="sample")), "venues": [live()]},
        "spec.venues[0].live",
    ),
    ({"venues": [live(adapter="NEWS")]}, "spec.venues[0].live.adapter"),
    ({"venues": [configured('{"api_key": "k"}')]}, "spec.venues[0].live.config_json.api_key"),
    ({"venues": [configured('{"tesnet": 1}')]}, "spec.venues[0].live.config_json.tesnet"),
    (
        {"venues": [configured('{"account_type": "SWAP"}')]},
        "spec.venues[0].live.config_json.account_type",
    ),
    ({"venues": [configured("[1")]}, "spec.venues[0].live.config_json"),
    ({"venues": [configured("[1]")]}, "spec.venues[0].live.config_json"),
    (
        {"risk": pb.RiskLimits(max_position={"BTCUSDT.BINANCE": "1e3"})},
        "spec.risk.max_position[BTCUSDT.BINANCE]",
    ),
    (
        {"risk": pb.RiskLimits(max_notional_per_order={"x": "1"})},
        "spec.risk.max_notional_per_order[x]",
    ),
    (
        {"risk": pb.RiskLimits(max_daily_loss=Money(amount="0", currency="USDT"))},
        "spec.risk.max_daily_loss.amount",
    ),
    (
        {"data": pb.DataSource(mesh=pb.MeshData(feed_id="binance"), instrument_ids=["no id"])},
        "spec.data.instrument_ids[0]",
    ),
]


async def test_ex150_specs_that_do_not_fit(api: Api) -> None:
    """EX-150: every fault of a spec is refused by the name of its field, and nothing is made."""
    rich = await api.stub(*SCOPES, "trader.deploy")
    for values, field in BAD_SPECS:
        refused = await failure(rich.CreateTrader(creation(spec(**values))))
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "TRADER_SPEC_INVALID"), field
        assert field in refused.fields, (field, refused.fields)
    for values, reason in (
        ({"data": pb.DataSource(mesh=pb.MeshData(feed_id="none"))}, "FEED_NOT_FOUND"),
        ({"venues": [live(adapter="NONE")]}, "VENUE_NOT_FOUND"),
        ({"venues": [live("none")]}, "CREDENTIAL_NOT_FOUND"),
    ):
        assert (await failure(rich.CreateTrader(creation(spec(**values))))).reason == reason
    for request in (
        creation(spec(), "lower-1"),
        creation(pb.TraderSpec()),
        creation(spec(data=pb.DataSource())),
        creation(spec(venues=[pb.TraderVenue(venue="X")])),
        creation(spec(risk=pb.RiskLimits(max_order_submit_rate=pb.Rate(limit=0)))),
        creation(spec(), labels={"UPPER": "x"}),
        rpc.CreateTraderRequest(request_id="1", trader_id="B-1", spec=spec()),
    ):
        assert (await failure(api.traders.CreateTrader(request))).reason == "INVALID_FIELD"
    with_nul = creation(spec(), labels={"a": "x\0y"})
    assert (await failure(api.traders.CreateTrader(with_nul))).reason == "INVALID_FIELD"
    assert not (await api.traders.ListTraders(rpc.ListTradersRequest())).traders


async def test_ex151_traders_that_are_not_there(api: Api) -> None:
    """EX-151: each method refuses an unknown trader, another project's, and a poor caller."""
    await api.traders.CreateTrader(creation(spec()))
    stranger = await api.stub(*SCOPES, projects=["other"])
    for stub, trader_id in ((api.traders, "NONE-1"), (stranger, "B-1")):
        for refused in await _on_each(stub, trader_id):
            assert (refused.code, refused.reason) == ("NOT_FOUND", "TRADER_NOT_FOUND")
            assert refused.metadata == {"trader_id": trader_id}
    poor = await api.stub("data.read")
    for refused in await _on_each(poor, "B-1"):
        assert refused.reason == "SCOPE_MISSING"
    forbidden = rpc.GetTraderRequest(project="other", trader_id="B-1")
    assert (await failure(api.traders.GetTrader(forbidden))).reason == "PROJECT_FORBIDDEN"
    assert not (await stranger.ListTraders(rpc.ListTradersRequest())).traders


async def _on_each(stub: Any, trader_id: str) -> list[Failure]:
    ids: dict[str, Any] = {"request_id": new_id(), "trader_id": trader_id}
    tagged = {**ids, "order_id_tag": "001"}
    calls = [
        stub.UpdateTrader(rpc.UpdateTraderRequest(**ids, spec=spec())),
        stub.StartTrader(rpc.StartTraderRequest(**ids)),
        stub.StopTrader(rpc.StopTraderRequest(**ids)),
        stub.DeleteTrader(rpc.DeleteTraderRequest(**ids)),
        stub.GetTrader(rpc.GetTraderRequest(trader_id=trader_id)),
        stub.AddStrategy(rpc.AddStrategyRequest(**ids, strategy=strategy())),
        stub.StartStrategy(rpc.StartStrategyRequest(**tagged)),
        stub.StopStrategy(rpc.StopStrategyRequest(**tagged)),
        stub.RemoveStrategy(rpc.RemoveStrategyRequest(**tagged)),
        anext(aiter(stub.ReadTraderLog(rpc.ReadTraderLogRequest(trader_id=trader_id)))),
    ]
    return [await failure(call) for call in calls]


async def test_ex152_the_right_thing_at_the_wrong_time(api: Api) -> None:
    """EX-152: repeated requests, etags, halts, real venues, open positions, expired credentials."""
    request = creation(spec(), labels={"a": "1"})
    first, again = await asyncio.gather(
        api.traders.CreateTrader(request), api.traders.CreateTrader(request)
    )
    assert first == again
    other = creation(spec())
    other.request_id = request.request_id
    assert (await failure(api.traders.CreateTrader(other))).reason == "REQUEST_ID_REUSED"
    assert (await failure(api.traders.CreateTrader(creation(spec())))).reason == "TRADER_EXISTS"
    etag = first.trader.meta.etag
    update = {"trader_id": "B-1", "spec": spec("SECRET"), "etag": etag}
    done = rpc.UpdateTraderRequest(request_id=new_id(), **update)
    changed = (await api.traders.UpdateTrader(done)).trader
    assert changed.spec.data.instrument_ids == ["SECRET.X"]
    assert not changed.labels
    stale = rpc.UpdateTraderRequest(request_id=new_id(), **update)
    assert (await failure(api.traders.UpdateTrader(stale))).reason == "ETAG_MISMATCH"

    real = creation(spec(venues=[live()]), "R-1")
    poor = await failure(api.traders.CreateTrader(real))
    assert (poor.reason, poor.metadata) == ("SCOPE_MISSING", {"scope": "trader.deploy"})
    rich = await api.stub(*SCOPES, "trader.deploy")
    await api.credential(expire_time=datetime.now(UTC) + timedelta(hours=1))
    assert (await rich.CreateTrader(real)).trader.real
    begin = rpc.StartTraderRequest(request_id=new_id(), trader_id="R-1")
    assert (await failure(api.traders.StartTrader(begin))).reason == "SCOPE_MISSING"
    async with api.database.connection() as tx:
        await tx.execute("UPDATE credentials SET expire_time = now() - interval '1 s'")
        await tx.execute(
            "INSERT INTO positions VALUES ('default', 'R-1', 'p', 'i', 's', true, now(), 1, '')"
        )
    assert (await failure(rich.StartTrader(begin))).reason == "CREDENTIAL_EXPIRED"
    gone: dict[str, Any] = {"request_id": new_id(), "trader_id": "R-1"}
    held = await failure(rich.DeleteTrader(rpc.DeleteTraderRequest(**gone)))
    assert held.reason == "TRADER_NOT_FLAT"
    await rich.DeleteTrader(rpc.DeleteTraderRequest(**gone | {"request_id": new_id()}, force=True))

    async with api.database.connection() as tx:
        await tx.execute(
            "INSERT INTO halts (halt_id, project, owner, scope, reducing, reason, source)"
            " VALUES (gen_random_uuid(), 'default', 'o', 'trader:B-1', false, 'r', 'CALLER')"
        )
    begin = rpc.StartTraderRequest(request_id=new_id(), trader_id="B-1")
    halted = await failure(api.traders.StartTrader(begin))
    assert halted.reason == "TRADER_HALTED"
    assert list((await api.get("B-1")).halt_ids) == [halted.metadata["halt_id"]]
    tagged = rpc.StopStrategyRequest(request_id=new_id(), trader_id="B-1", order_id_tag="9")
    unknown = await failure(api.traders.StopStrategy(tagged))
    assert unknown.reason == "TRADER_STRATEGY_NOT_FOUND"


async def test_ex153_lists(api: Api) -> None:
    """EX-153: pages, states and labels; a token of another filter is refused."""
    for number in range(5):
        await api.traders.CreateTrader(
            creation(spec(), f"L-{number}", labels={"even": str(number % 2 == 0)})
        )
    ids, token = [], ""
    while True:
        request = rpc.ListTradersRequest(page_size=2, page_token=token)
        answer = await api.traders.ListTraders(request)
        ids += [each.trader_id for each in answer.traders]
        if not (token := answer.next_page_token):
            break
    assert ids == [f"L-{number}" for number in range(5)]
    even = await api.traders.ListTraders(rpc.ListTradersRequest(label="even=True"))
    assert [each.trader_id for each in even.traders] == ["L-0", "L-2", "L-4"]
    running = rpc.ListTradersRequest(states=[pb.TRADER_STATE_RUNNING])
    assert not (await api.traders.ListTraders(running)).traders
    first = await api.traders.ListTraders(rpc.ListTradersRequest(page_size=2))
    bad = rpc.ListTradersRequest(label="even=True", page_token=first.next_page_token)
    assert (await failure(api.traders.ListTraders(bad))).reason == "INVALID_PAGE_TOKEN"
    negative = rpc.ListTradersRequest(page_size=-1)
    assert (await failure(api.traders.ListTraders(negative))).reason == "INVALID_FIELD"
