"""Facts on their way to PostgreSQL, and the rows that they add up to."""

import uuid

import redis.asyncio

from integration.live_execution.outside.kit import (
    KEY,
    World,
    event,
    first_command,
    initialized,
    publishing,
    until,
)
from mesh.common.v1 import enums_pb2 as enums
from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1 import events_pb2 as events
from mesh.execution.v1.events_pb2 import (
    AccountState,
    ClockMoved,
    CommandTaken,
    FlattenDone,
    Mark,
    MarkSnapshot,
    OrderUnknown,
    Position,
    PositionEvent,
    TraderFact,
)
from mesh.execution.v1.order_pb2 import Order, OrderTicket, SubmitCommand, TraderCommand
from mesh.execution.v1.trader_pb2 import TRADER_STATE_RUNNING, TraderChanged
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.times import to_timestamp


async def _orders(world: World) -> dict[str, Order]:
    rows = await world.connection.fetch("SELECT body FROM orders")
    found = [Order.FromString(row["body"]) for row in rows]
    return {order.client_order_id: order for order in found}


async def test_ex_107_facts_become_rows_in_their_transaction(world: World) -> None:
    """EX-107: orders, positions, accounts, marks, instruments, reports and the trader's row."""
    position = Position(
        position_id="P", instrument_id="EURUSD.SIM", side=enums.POSITION_SIDE_LONG, quantity="3"
    )
    changed = TraderChanged()
    changed.trader.state = TRADER_STATE_RUNNING
    changed.trader.state_time.CopyFrom(to_timestamp(1_700_000_000_000_000_000))
    changed.trader.restrictions.append("none")
    changed.trader.halt_ids.append("h")
    async with world.outside() as outside:
        outside.record(
            initialized("a"),
            event("a", events.ORDER_EVENT_TYPE_SUBMITTED),
            event("a", events.ORDER_EVENT_TYPE_ACCEPTED),
            initialized("b"),
            event("b", events.ORDER_EVENT_TYPE_DENIED),
            TraderFact(
                position=PositionEvent(type=events.POSITION_EVENT_TYPE_OPENED, position=position)
            ),
            TraderFact(account=AccountState(account_id="SIM-1")),
            TraderFact(marks=MarkSnapshot(marks=[Mark(instrument_id="EURUSD.SIM", bid="1")])),
            TraderFact(instrument=InstrumentDefinition(instrument_id="EURUSD.SIM")),
            TraderFact(flatten=FlattenDone(flatten_id="f")),
            TraderFact(trader=changed),
            TraderFact(unknown=OrderUnknown(client_order_id="a")),
            TraderFact(clock=ClockMoved(ts=to_timestamp(1_600_000_000_000_000_000))),
        )
        await until(lambda: world.head())
    orders = await _orders(world)
    assert (orders["a"].status, orders["a"].unknown) == (enums.ORDER_STATUS_ACCEPTED, True)
    assert (orders["a"].fact_number, orders["b"].fact_number) == (12, 5)

    async def fetch(query: str) -> tuple[object, ...]:
        return tuple(await world.connection.fetchrow(query) or ())

    assert (await fetch("SELECT open, source FROM orders WHERE client_order_id = 'b'")) == (
        False,
        "STRATEGY",
    )
    assert (await fetch("SELECT open, fact_number FROM positions")) == (True, 6)
    assert (await fetch("SELECT account_id FROM accounts")) == ("SIM-1",)
    assert (await fetch("SELECT m.fact_number, i.fact_number FROM marks m, instruments i")) == (
        8,
        9,
    )
    assert (await fetch("SELECT fact_number FROM reports")) == (10,)
    row = await fetch("SELECT state, restrictions, halt_ids, data_time::text FROM traders")
    assert row[:3] == ("RUNNING", ["none"], ["h"])
    assert str(row[3]).startswith("2020-09-13")


async def test_ex_107_orders_go_on_over_lives(world: World) -> None:
    """EX-107: an event of an order that an earlier process made finds it."""
    async with world.outside() as outside:
        outside.record(initialized("a"))
    async with world.outside() as outside:
        outside.record(event("a", events.ORDER_EVENT_TYPE_SUBMITTED))
    async with world.outside() as outside:
        outside.record(event("a", events.ORDER_EVENT_TYPE_CANCELED))
    async with world.outside() as outside:
        outside.record(event("a", events.ORDER_EVENT_TYPE_ACCEPTED))  # Nautilus would refuse it
    order = (await _orders(world))["a"]
    assert (order.status, order.quantity) == (enums.ORDER_STATUS_CANCELED, "10")


async def test_ex_108_a_command_is_given_once_and_marked(world: World) -> None:
    """EX-108: in order, with submitter; taken ones are not given again, expired ones refused."""
    async with publishing(world):
        ticket = OrderTicket(client_order_id="m-1")
        first = TraderCommand(submitter="ann", submit=SubmitCommand(orders=[ticket]))
        ids = [await world.command(first)]
        late = TraderCommand(expire_time=to_timestamp(1))
        ids += [await world.command(late), await world.command(TraderCommand(submitter="bob"))]
        async with world.outside() as outside:
            given = outside.commands()
            assert (await anext(given)).command_id == ids[0]
            outside.record(
                initialized("m-1", strategy_id="Desk-MANUAL"),
                TraderFact(command=CommandTaken(command_id=ids[0])),
            )
            assert (await anext(given)).command_id == ids[2]  # and dies before it is done
            await given.aclose()
        async with world.outside() as outside:
            given = outside.commands()
            assert (await anext(given)).command_id == ids[2]
            refused = CommandTaken(command_id=ids[2], reason="ORDER_DENIED", message="no")
            outside.record(TraderFact(command=refused))
            ids.append(await world.command(TraderCommand()))
            assert (await anext(given)).command_id == ids[3]
            await given.aclose()
            outside.record(TraderFact(command=CommandTaken(command_id=ids[3])))
        await until(
            lambda: world.connection.fetchval("SELECT count(*) = 0 FROM outbox")
        )  # the publisher took the entries out
    rows = await world.connection.fetch("SELECT command_id, state, reason FROM commands")
    states = {str(row["command_id"]): (row["state"], row["reason"]) for row in rows}
    assert [states[each] for each in ids] == [
        ("DONE", ""),
        ("EXPIRED", "COMMAND_EXPIRED"),
        ("REFUSED", "ORDER_DENIED"),
        ("DONE", ""),
    ]
    order = (await _orders(world))["m-1"]
    assert (order.source, order.submitter) == (2, "ann")


async def test_ex_108_a_command_that_kills_is_refused(world: World) -> None:
    """EX-108: after three processes that died with it, a command is not given to a fourth."""
    async with publishing(world):
        ids = [await world.command(TraderCommand()), await world.command(TraderCommand())]
        firsts: list[str] = []
        while ids[1] not in firsts and len(firsts) < 6:
            async with world.outside() as outside:
                firsts.append((await first_command(outside)).command_id)
    assert firsts in ([ids[0]] * 3 + [ids[1]], [ids[0]] * 4 + [ids[1]])
    row = await world.connection.fetchrow(
        "SELECT state, reason FROM commands WHERE command_id = $1", uuid.UUID(ids[0])
    )
    assert tuple(row or ()) == ("REFUSED", "TRADER_DIED")


async def test_ex_108_an_emptied_redis_loses_and_doubles_no_command(world: World) -> None:
    """EX-108: what is not done comes again, what was given to this process does not."""
    client = redis.asyncio.Redis.from_url(world.redis_url)
    async with publishing(world), world.outside() as outside:
        ids = [await world.command(TraderCommand()) for _ in range(3)]
        assert (await first_command(outside)).command_id == ids[0]
        await client.xadd(KEY.commands, {"k": "?", "p": "no command"})
        await client.flushall()
        ids += [await world.command(TraderCommand())]
        given = [(await first_command(outside)).command_id for _ in range(3)]
        assert sorted(given) == sorted(ids[1:])
    await client.aclose()


async def test_ex_109_a_fact_that_fits_no_row_is_stored_without(world: World) -> None:
    """EX-109: what PostgreSQL will not take as a row holds up no other fact."""
    async with world.outside() as outside:
        outside.record(
            initialized("a"),
            initialized("no\0good"),
            TraderFact(command=CommandTaken(command_id="no uuid")),
            initialized("b"),
        )
        await until(lambda: world.head())
    assert [n for n, _ in await world.stored()] == [1, 2, 3, 4]
    assert set(await _orders(world)) == {"a", "b"}


async def test_ex_109_a_database_that_was_put_back_gets_the_facts_again(world: World) -> None:
    """EX-109: facts that PostgreSQL has lost are copied again, the same, without new ones."""
    async with world.outside() as outside:
        outside.record(initialized("a"), initialized("b"))
        await until(lambda: world.head())
        before = await world.connection.fetch("SELECT number, event FROM facts ORDER BY number")
        await world.connection.execute("DELETE FROM facts WHERE number = 2")
        await world.connection.execute("UPDATE stream_heads SET number = 1")
        outside.record(initialized("c"))
        await until(lambda: _is(world, 3))
    ids = [_event_id(row["event"]) for row in before]
    rows = await world.connection.fetch("SELECT number, event FROM facts ORDER BY number")
    assert [_event_id(row["event"]) for row in rows][:2] == ids
    assert len(rows) == 3


async def test_a_question_is_answered(world: World, redis_url: str) -> None:
    """A question in the stream gets its answer in the list, a late one none."""
    client = redis.asyncio.Redis.from_url(redis_url)

    async def preview(request: bytes) -> bytes:
        return request.upper()

    async with world.outside() as outside:
        outside.answer("preview", preview)
        for name, deadline in (("late", "1"), ("now", "99999999999999")):
            fields = {"i": name, "k": "preview", "p": b"hello", "d": deadline}
            await client.xadd(KEY.queries, fields)  # type: ignore[arg-type]  # redis-py's dict is invariant
        answer = await client.blpop([KEY.reply("now")], timeout=20)
        assert answer is not None
        assert answer[1] == b"+HELLO"
        assert await client.exists(KEY.reply("late")) == 0
    await client.aclose()


async def _is(world: World, number: int) -> bool:
    return await world.head() == number


def _event_id(event: bytes) -> str:
    return Event.FromString(event).event_id
