"""Trading through the Python client, over a real gRPC server that follows a script."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import order_service_pb2 as rpc
from mesh.execution.v1 import safety_pb2
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.events_pb2 import OrderUnknown, TraderFact
from mesh.execution.v1.order_pb2 import OrderTicket
from meshclient import samples, tickets, trader_spec
from meshclient.errors import MeshClientError, SpecError
from meshclient.latch import EVERYTHING, latch_key
from meshclient.safety import scope
from services.live_execution import names
from unit.meshclient.trading_server import Client, Service, lines, message, serve, told

AWAY = (grpc.StatusCode.UNAVAILABLE, "no healthy upstream")
BROKEN = (grpc.StatusCode.DEADLINE_EXCEEDED, "late")
BTC = "BTCUSDT.BINANCE"


@pytest.fixture
async def server() -> AsyncIterator[tuple[Service, Client]]:
    """Give a scripted service and the calls to it."""
    async for each in serve():
        yield each


TYPES: list[tuple[dict[str, Any], str]] = [
    ({}, "MARKET"),
    ({"price": 1}, "LIMIT"),
    ({"trigger_price": "2"}, "STOP_MARKET"),
    ({"trigger_price": "2", "price": "1"}, "STOP_LIMIT"),
    ({"trailing_offset": "1"}, "TRAILING_STOP_MARKET"),
    ({"trailing_offset": "1", "limit_offset": "1"}, "TRAILING_STOP_LIMIT"),
    ({"type": "market-to-limit"}, "MARKET_TO_LIMIT"),
]


@pytest.mark.parametrize(("given", "kind"), TYPES)
def test_ex_200_the_type_follows_from_the_prices(given: dict[str, Any], kind: str) -> None:
    """EX-200: a ticket has the type that its prices mean, unless it is named."""
    made = tickets.ticket(BTC, "buy", 0.1, **given)
    assert enums.OrderType.Name(made.type) == f"ORDER_TYPE_{kind}"
    assert (made.side, made.quantity) == (enums.ORDER_SIDE_BUY, "0.1")


def test_ex_200_a_ticket_in_words() -> None:
    """EX-200: words, numbers and times become what the contract has; faults name the field."""
    made = tickets.ticket(BTC, "SELL", 1e-7, price="5", time_in_force="ioc", tags=["a", "b"])
    assert made.quantity == "0.0000001"
    assert made.time_in_force == enums.TIME_IN_FORCE_IOC
    assert list(made.tags) == ["a", "b"]
    basis: dict[str, Any] = {"side": "buy", "quantity": 1}
    for field, more in (
        ("side", {"side": "long"}),
        ("quantity", {"quantity": "much"}),
        ("price", {"price": "nan"}),
        ("time_in_force", {"time_in_force": "gtcc"}),
        ("colour", {"colour": "red"}),
    ):
        with pytest.raises(SpecError) as caught:
            tickets.ticket(BTC, **{**basis, **more})
        assert caught.value.violations[0].field == field


def test_ex_200_ids_and_brackets() -> None:
    """EX-200: ids are new, sort by time and fit every venue; a bracket's exits know its entry."""
    ids = [tickets.new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert all(len(each) == 20 and each.isalnum() for each in ids)
    entry, stop, target = tickets.bracket(BTC, "buy", 2, stop=90, target=120, price=100)
    assert entry.contingency_type == enums.CONTINGENCY_TYPE_OTO
    assert list(entry.linked_order_ids) == [stop.client_order_id, target.client_order_id]
    for each, other in ((stop, target), (target, stop)):
        assert each.parent_order_id == entry.client_order_id
        assert list(each.linked_order_ids) == [other.client_order_id]
        assert (each.side, each.reduce_only) == (enums.ORDER_SIDE_SELL, True)
    one, two = tickets.oco(stop, target)
    assert one.contingency_type == two.contingency_type == enums.CONTINGENCY_TYPE_OCO


def test_ex_201_a_trader_as_a_file(tmp_path: Path) -> None:
    """EX-201: the example that ships is a whole spec; short forms are taken in YAML and JSON."""
    shipped = Path(samples.__file__).parent / "trader.yaml"
    made = trader_spec.load(shipped)
    assert made.trader_id == "EMA-001"
    assert made.spec.data.WhichOneof("source") == "replay"
    assert made.spec.risk.max_order_submit_rate.limit == 100
    assert made.spec.save_interval.seconds == 60
    document = yaml.safe_load(shipped.read_text())
    live = {"adapter": "BINANCE", "config": {"account_type": "SPOT"}, "credential_id": "main"}
    document["venues"].append({"venue": "BINANCE", "live": live})
    document["data"] = {"mesh": "binance"}
    file = tmp_path / "t.json"
    file.write_text(json.dumps(document, default=str))
    other = trader_spec.load(file, "X-1")
    assert other.trader_id == "X-1"
    assert json.loads(other.spec.venues[1].live.config_json) == {"account_type": "SPOT"}
    assert other.spec.data.mesh.feed_id == "binance"


def test_ex_201_every_fault_of_a_file_is_named() -> None:
    """EX-201: a file with several faults tells the place of each, at once."""
    document = {
        "labels": {"a": 1},
        "strategys": [],
        "venues": [{"venue": "SIM", "sandbox": {"starting_balances": ["much"]}}],
        "data": {"mesh": "x", "replay": {}},
        "risk": {"max_order_submit_rate": "fast", "action": "STOP"},
    }
    with pytest.raises(SpecError) as caught:
        trader_spec.parse(document, "t.yaml")
    assert {each.field for each in caught.value.violations} == {
        *("trader_id", "labels", "strategys", "data.replay"),
        *("venues[0].sandbox.starting_balances[0]", "risk.max_order_submit_rate", "risk.action"),
    }


async def test_ex_202_the_same_call_again_is_the_same_order(server: tuple[Service, Client]) -> None:
    """EX-202: retries of a submission, its own and the caller's, send one and the same request."""
    service, client = server
    done = rpc.SubmitOrderResponse(outcome=rpc.OUTCOME_REACHED)
    service.script = [[AWAY], [BROKEN], [done], [done]]
    call = client.orders.submit("T-1", BTC, "BUY", "0.1", price="5", wait="accepted")
    with pytest.raises(MeshClientError, match="DEADLINE_EXCEEDED"):
        await call
    assert (await call).outcome == rpc.OUTCOME_REACHED
    first, second, third = service.requests
    assert first == second == third
    assert first.order.client_order_id == call.client_order_id
    assert (first.wait_for, first.wait_bound.seconds) == (rpc.WAIT_FOR_ACCEPTED, 5)
    await client.orders.send("T-1", OrderTicket(client_order_id="mine"))
    assert service.requests[-1].request_id != first.request_id


async def test_ex_203_a_watch_of_facts_goes_on_by_itself(server: tuple[Service, Client]) -> None:
    """EX-203: facts come once and in order through breaks; the cursor is where all was taken."""
    service, client = server
    facts = [told(n, TraderFact(unknown=OrderUnknown(client_order_id=str(n)))) for n in range(1, 5)]
    service.script = [
        [message("a"), message("b", *facts[:2]), AWAY],
        [message("b"), message("c", facts[2])],
        [message("c"), message("d", facts[3]), BROKEN],
    ]
    breaks: list[MeshClientError] = []
    watch = client.orders.watch("T-1", broken=breaks.append)
    await watch.attach()
    seen: list[tuple[str, int, str]] = []

    async def read() -> None:
        async for each in watch:
            seen.append((each.subject, each.number, each.fact.unknown.client_order_id))

    with pytest.raises(MeshClientError, match="DEADLINE_EXCEEDED"):
        await read()
    assert seen == [("T-1", n, str(n)) for n in range(1, 5)]
    assert [request.after_cursor for request in service.requests] == ["", "b", "c"]
    assert watch.cursor == "d"
    assert len(breaks) == 2


async def test_ex_203_a_log_that_is_followed(server: tuple[Service, Client]) -> None:
    """EX-203: a log goes on after a break without a line lost or twice."""
    service, client = server
    service.script = [
        [lines("1", "2"), lines("3"), AWAY],
        [lines("2", "3", "4"), lines("5"), BROKEN],
        [(grpc.StatusCode.NOT_FOUND, "gone")],
    ]
    seen: list[str] = []

    async def read() -> None:
        async for line in client.traders.log("T-1", follow=True, tail=2):
            seen.append(line)

    with pytest.raises(MeshClientError, match="gone"):
        await read()
    assert seen == ["1", "2", "3", "4", "5"]
    assert [request.tail_lines for request in service.requests] == [2, 1000, 1000]


def test_ex_205_the_latch_is_the_one_that_traders_read() -> None:
    """EX-205: the client's keys of the latch are those that the service's traders look at."""
    trader = names.TraderKey("default", "EMA-001")
    scopes = [
        scope(all=True),
        scope(venue="SIM"),
        scope(trader="EMA-001"),
        scope(trader="EMA-001", strategy="001"),
    ]
    ours = [EVERYTHING, *(latch_key("default", each) for each in scopes)]
    assert ours == list(trader.latches("SIM", "001"))
    with pytest.raises(MeshClientError, match="--project"):
        latch_key("", safety_pb2.SafetyScope(all=True))
    for wrong in ({}, {"all": True, "venue": "X"}, {"strategy": "001"}):
        with pytest.raises(SpecError):
            scope(**wrong)


def test_ex_201_specs_are_taken_as_they_are() -> None:
    """EX-201: what is a message already is not copied; a mapping is filled in."""
    spec = pb.TraderSpec()
    assert trader_spec.message(spec) is spec
    made = trader_spec.strategy({"order_id_tag": "1", "strategy_id": "s", "on_failure": "flatten"})
    assert made.on_failure == pb.ON_FAILURE_FLATTEN
