"""EX-210 to EX-216: a trader at Binance, by Nautilus' own adapter, against the simulated venue."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from nautilus_trader.adapters.binance.futures.execution import BinanceFuturesExecutionClient
from nautilus_trader.adapters.binance.http.error import BinanceError
from nautilus_trader.adapters.deribit.execution import DeribitExecutionClient
from nautilus_trader.adapters.kraken.execution import KrakenExecutionClient
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import GenerateOrderStatusReports

from integration.live_execution.engine.at_binance import At, Outside, at_binance, ticket_at
from integration.live_execution.engine.test_gate import halt
from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1.order_pb2 import CloseCommand, TraderCommand
from services.live_execution.engine import main, node
from services.live_execution.engine.intents_asking import tells_absence
from services.live_execution.trader.ports import Refusal
from simulators.binance.venue import Binance


def closing() -> TraderCommand:
    """Return a command that closes all positions."""
    return TraderCommand(command_id=str(uuid4()), close=CloseCommand())


MARKETS = ("futures", "spot")


@pytest.fixture(params=MARKETS)
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[At]:
    """Run a trader at one of the markets."""
    async with Binance() as venue:
        venue.quote(request.param, "BTCUSDT", "50000.0", "5", "50000.1", "5")
        async with at_binance(tmp_path / "journal", venue, request.param) as trader:
            yield trader


async def test_orders(at: At) -> None:
    """EX-210: orders are accepted, filled in parts, filled, cancelled, expired, rejected."""
    bought = at.ticket()
    await at.submit(bought)
    await at.ends(bought, "FILLED")
    resting = at.ticket(type="LIMIT", price="49000", quantity="3")
    await at.submit(resting)
    await at.ends(resting, "ACCEPTED")
    at.move("48999.0", "49000.0", size="1")
    await at.ends(resting, "PARTIALLY_FILLED")
    canceled = at.ticket(type="LIMIT", price="47000")
    await at.submit(canceled)
    await at.ends(canceled, "ACCEPTED")
    await at.cancel(canceled.client_order_id)
    await at.ends(canceled, "CANCELED")
    at.move("48998.0", "48999.0", size="5")
    await at.ends(resting, "FILLED")
    hasty = at.ticket(type="LIMIT", price="40000", time_in_force="IOC")
    await at.submit(hasty)
    await at.ends(hasty, "EXPIRED", "CANCELED")
    taking = at.ticket(type="LIMIT", price="49000", post_only=True)
    await at.submit(taking)
    await at.ends(taking, "REJECTED")
    beyond = at.ticket(type="LIMIT", side="SELL", price="60000", quantity="900")
    await at.submit(beyond)
    await at.ends(beyond, "REJECTED", "DENIED")
    await at.same()


async def test_reports_that_fail(at: At) -> None:
    """EX-264: a venue that answers with errors is not one that has nothing: no report is made."""
    order = at.ticket(type="LIMIT", price="49000")
    await at.submit(order)
    await at.ends(order, "ACCEPTED")
    (client,) = at.trader.kernel.exec_engine._clients.values()
    asked = GenerateOrderStatusReports(None, None, None, True, UUID4(), at.now_ns())
    assert len(await client.generate_order_status_reports(asked)) == 1
    at.venue.fail(503, times=100)
    with pytest.raises(BinanceError):
        await client.generate_order_status_reports(asked)
    at.venue.heal()
    assert len(await client.generate_order_status_reports(asked)) == 1


async def test_modified(tmp_path: Path) -> None:
    """EX-211: an order of futures is modified where it rests; one past its time expires."""
    async with Binance() as venue:
        venue.quote("futures", "BTCUSDT", "50000.0", "5", "50000.1", "5")
        async with at_binance(tmp_path / "journal", venue, "futures") as at:
            order = at.ticket(type="LIMIT", price="49000", quantity="1")
            await at.submit(order)
            await at.ends(order, "ACCEPTED")
            assert (
                await at.modify(order.client_order_id, price="49100", quantity="2")
            ).reason == ""
            await at.until(lambda: at.events(order.client_order_id)[-1] == "UPDATED")
            await at.same()
            brief = at.ticket(type="LIMIT", price="48000", time_in_force="GTD")
            brief.expire_time.FromNanoseconds(at.now_ns() + 700 * 10**9)
            await at.submit(brief)
            await at.ends(brief, "ACCEPTED")
            venue.advance(701)
            await at.ends(brief, "EXPIRED", "CANCELED")
            await at.same()


async def test_lost_answers(at: At) -> None:
    """EX-212: an order whose answer is lost is found out by the stream or by asking, and once."""
    at.venue.users.lose()
    heard = at.ticket()
    await at.submit(heard)
    await at.ends(heard, "FILLED")
    at.venue.users.lose()
    at.venue.users.deaf = True
    unheard = at.ticket()
    await at.submit(unheard)
    await at.until(lambda: len(at.account.orders) == 2)
    await at.ends(unheard, "FILLED")
    at.venue.users.deaf = False
    await at.same()
    assert [client_id for _, client_id in at.account.received] == [
        heard.client_order_id,
        unheard.client_order_id,
    ]


async def test_told_twice(at: At) -> None:
    """EX-213: what the venue tells twice counts once."""
    at.venue.users.twice = True
    order = at.ticket(quantity="2")
    await at.submit(order)
    await at.ends(order, "FILLED")
    await at.same()


async def test_stream_dropped(at: At) -> None:
    """EX-214: what happens while the user stream is away is found out when it is back."""
    order = at.ticket(type="LIMIT", price="49000")
    await at.submit(order)
    await at.ends(order, "ACCEPTED")
    at.venue.users.deaf = True
    at.move("48990.0", "48991.0")
    at.venue.users.deaf = False
    at.venue.users.drop()
    await at.ends(order, "FILLED")
    await at.same()


@pytest.mark.parametrize("market", MARKETS)
async def test_while_it_was_dead(tmp_path: Path, market: str) -> None:
    """EX-215: what happened at the venue while the trader was dead is its own when it is back."""
    async with Binance() as venue:
        venue.quote(market, "BTCUSDT", "50000.0", "5", "50000.1", "5")
        async with at_binance(tmp_path / "journal", venue, market) as at:
            filled = at.ticket(type="LIMIT", price="49000", quantity="2")
            ended = at.ticket(type="LIMIT", price="48000")
            for order in (filled, ended):
                await at.submit(order)
                await at.ends(order, "ACCEPTED")
        venue.quote(market, "BTCUSDT", "48990.0", "5", "48991.0", "5")
        account = venue.accounts.of[market]
        venue.accounts.end(account, account.open_orders()[0], "CANCELED")
        async with at_binance(tmp_path / "journal", venue, market) as at:
            await at.ends(filled, "FILLED")
            await at.ends(ended, "CANCELED")
            await at.same()
            sold = at.ticket(side="SELL", quantity="2")
            await at.submit(sold)
            await at.ends(sold, "FILLED")
            await at.same()


async def test_nothing_past_the_gate(at: At) -> None:
    """EX-216: what the gate refuses is not seen at the venue."""
    at.outside.refused = Refusal("LEASE_LOST", "The lease has ended.")
    order = at.ticket()
    await at.submit(order)
    await at.ends(order, "DENIED")
    assert not at.account.received


async def test_wrong_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EX-216: a trader whose keys the venue refuses says that it has no connection there."""
    monkeypatch.setattr(node, "CONNECT_S", 0.7)
    async with Binance() as venue:
        outside = Outside(tmp_path / "journal")
        outside.given = {"api_key": "no", "api_secret": "no"}
        assert await main.live(ticket_at(venue, "futures"), outside) == main.DIED
        told = [f.trader.trader for f in outside.facts if f.HasField("trader")][-1]
        assert (told.state, told.reason) == (
            pb.TRADER_STATE_RECONCILING,
            "VENUE_UNREACHABLE",
        )


async def test_burst(tmp_path: Path) -> None:
    """EX-218: orders of one moment count together, before the venue has told of any."""
    risk = {"maxPosition": {"*": "2"}}
    async with Binance() as venue:
        venue.quote("futures", "BTCUSDT", "50000.0", "50", "50000.1", "50")
        async with at_binance(tmp_path / "journal", venue, "futures", risk=risk) as at:
            desk, instrument = at.trader.desk, at.cache.instrument(at.instrument_id)
            orders = [at.ticket(quantity="1.5") for _ in range(4)]
            for order in orders:
                desk.send(desk.maker.order(order, instrument, at.now_ns()))
            await at.until(lambda: all(at.closed(each) for each in orders))
            assert at.net() == "1.500"
            at.outside.halt(halt("all", reducing=True))
            sells = [at.ticket(side="SELL", quantity="1.5") for _ in range(3)]
            for order in sells:
                desk.send(desk.maker.order(order, instrument, at.now_ns()))
            await at.until(lambda: all(at.closed(each) for each in sells))
            assert float(at.net()) == 0
            await at.same()


async def test_reduce_only_where_it_is_dropped(tmp_path: Path) -> None:
    """EX-219: at spot a reduce-only order that opens is denied, and nothing is closed twice."""
    async with Binance() as venue:
        venue.quote("spot", "BTCUSDT", "50000.0", "50", "50000.1", "50")
        async with at_binance(tmp_path / "journal", venue, "spot") as at:
            opening = at.ticket(reduce_only=True)
            await at.submit(opening)
            await at.ends(opening, "DENIED")
            await at.submit(at.ticket())
            await at.until(lambda: float(at.net()) == 1)
            for _ in range(2):
                at.outside.send(closing())
            await at.until(lambda: float(at.net()) == 0)
            await at.same()
            assert at.account.balances["BTC"] == 10


async def test_unknown_is_no_rejection(at: At) -> None:
    """EX-212: an answer that says that nothing is known is no rejection; the order is looked up."""
    at.venue.users.muddle()
    order = at.ticket()
    await at.submit(order)
    await at.ends(order, "FILLED")
    assert "REJECTED" not in at.events(order.client_order_id)
    await at.same()


async def test_late(at: At) -> None:
    """EX-216: what was let go is asked about once more as it is sent."""
    desk, instrument = at.trader.desk, at.cache.instrument(at.instrument_id)
    orders = [at.ticket(type="LIMIT", price="49000", quantity="0.01") for _ in range(5)]
    for order in orders:
        desk.send(desk.maker.order(order, instrument, at.now_ns()))
    await at.until(lambda: any(f.HasField("intent") for f in at.outside.facts))
    at.outside.refused = Refusal("STALE_FENCE", "Another process has the trader.")
    seen = len(at.account.received)
    await at.until(lambda: all(at.status(o.client_order_id) != "INITIALIZED" for o in orders))
    assert len(at.account.received) == seen
    at.outside.refused = None


def test_who_can_tell() -> None:
    """EX-217: of adapters only those that raise where they cannot ask are believed a "no order"."""
    assert tells_absence(BinanceFuturesExecutionClient.__new__(BinanceFuturesExecutionClient))
    for deaf in (DeribitExecutionClient, KrakenExecutionClient):
        assert not tells_absence(deaf.__new__(deaf))
