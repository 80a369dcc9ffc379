"""Limits across the traders of a project: cases EX-188 and EX-189."""

from decimal import Decimal
from typing import Any

from integration.failures import failure
from integration.live_execution.orders.kit import (
    BTC,
    ETH,
    Api,
    account,
    definition,
    marks,
    new_id,
    position,
    until,
)
from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1 import safety_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import LimitBroken, TraderFact
from mesh.execution.v1.safety_service_pb2 import ProjectLimits
from mesh.execution.v1.trader_pb2 import LIMIT_ACTION_HALTED


def _usdt(amount: str, currency: str = "USDT") -> Money:
    return Money(amount=amount, currency=currency)


async def _set(api: Api, **limits: Any) -> None:
    request = rpc.SetLimitsRequest(request_id=new_id(), limits=ProjectLimits(**limits))
    assert (await api.safety.SetLimits(request)).limits == request.limits


async def _used(api: Api) -> rpc.GetLimitsResponse:
    found: rpc.GetLimitsResponse = await api.safety.GetLimits(rpc.GetLimitsRequest())
    return found


async def _active(api: Api) -> list[pb.Halt]:
    wanted = rpc.ListHaltsRequest(state=pb.HALT_STATE_ACTIVE)
    return list((await api.safety.ListHalts(wanted)).halts)


async def _halts(api: Api, count: int) -> list[pb.Halt]:
    async def look() -> list[pb.Halt]:
        found = await _active(api)
        return found if len(found) == count else []

    return await until(look)


async def _reset(api: Api, halt_id: str) -> None:
    await api.safety.ResetHalt(rpc.ResetHaltRequest(request_id=new_id(), halt_id=halt_id))


async def test_ex188_what_breaks_a_limit_halts_the_project(api: Api) -> None:
    """EX-188: exposure, net position and the loss of the day are counted over all traders; what
    breaks a limit is told, and halts all of them, or lets them reduce.
    """
    first, second = await api.add(), await api.add("T-002")
    assert not (await _used(api)).limits.ListFields()
    async with api.trader(first) as one, api.trader(second) as other:
        for trader in (one, other):
            trader.outside.record(TraderFact(instrument=definition()), account("10000"))
        one.outside.record(position("P-1", "2"), marks(BTCUSDT="100"))
        other.outside.record(position("P-2", "-1"))

        async def counted() -> bool:
            used = await _used(api)
            return (
                Decimal(used.gross_exposure.amount or 0) == 300
                and not used.gaps
                and used.HasField("daily_pnl")
                and bool(await api.sql("SELECT 1 FROM day_values HAVING count(*) = 2"))
            )

        await _set(api, max_gross_exposure=_usdt("1000"), max_daily_loss=_usdt("50"))
        await until(counted)
        one.outside.record(marks(BTCUSDT="40"))  # 2 · -60 + 1 · 60 = -60
        halt = (await _halts(api, 1))[0]
        assert (halt.source, halt.reducing) == (pb.HALT_SOURCE_LIMIT, True)
        assert halt.reason.startswith("max_daily_loss of the project is 50 USDT and was 60")
        assert Decimal((await _used(api)).daily_pnl.amount) == -60
        await _set(api, max_position={BTC: "0.5", "*": "5"}, halted=True)
        hard = next(h for h in await _halts(api, 2) if not h.reducing)
        assert hard.reason.startswith(f"max_position[{BTC}]")
        other.outside.record(position("P-2", "-1.5"))
        await _set(api, max_position={"*": "5"}, max_gross_exposure=_usdt("1000"))

        async def none_left() -> bool:  # a look that began before may halt once more
            for each in await _active(api):
                await _reset(api, each.halt_id)
            return not await _active(api)

        await until(none_left)
    told = await api.sql("SELECT event FROM facts WHERE stream = 'facts:live_execution'")
    assert any(b"max_daily_loss" in row["event"] for row in told)


async def test_ex188_nothing_is_guessed(api: Api) -> None:
    """EX-188: a price or a rate that is missing is a gap with its reason, and the limit is not
    counted; limits that cannot be watched are refused.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        trader.outside.record(TraderFact(instrument=definition()), account("5", "BTC"))
        trader.outside.record(position("P-1", "1"), position("P-2", "1", instrument_id=ETH))
        await until(lambda: api.sql("SELECT 1 FROM positions HAVING count(*) = 2"))
        await _set(api, max_gross_exposure=_usdt("1000"))
        used = await _used(api)
        assert not used.HasField("gross_exposure")
        assert {(g.reason, g.instrument_id) for g in used.gaps} == {
            ("PRICE_UNKNOWN", BTC),
            ("PRICE_UNKNOWN", ETH),
        }
        loss = ProjectLimits(max_daily_loss=_usdt("10", "EUR"))
        refused = await failure(
            api.safety.SetLimits(rpc.SetLimitsRequest(request_id=new_id(), limits=loss))
        )
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "LIMITS_INVALID")
        assert set(refused.fields) == {"limits.max_daily_loss.currency"}
        trader.outside.record(TraderFact(instrument=definition(ETH)))
        trader.outside.record(marks(BTCUSDT="100", ETHUSDT="10"))

        async def whole() -> bool:
            return Decimal((await _used(api)).gross_exposure.amount or 0) == 110

        await until(whole)
        await _set(api, max_daily_loss=_usdt("1000"))  # by the pair the account's BTC has a rate
        assert (await _used(api)).HasField("daily_pnl")
    wrong = ProjectLimits(max_daily_loss=_usdt("-1"), max_position={"*": "many"})
    told = await failure(
        api.safety.SetLimits(rpc.SetLimitsRequest(request_id=new_id(), limits=wrong))
    )
    assert set(told.fields) == {"limits.max_daily_loss.amount", "limits.max_position[*]"}


async def test_ex189_a_broken_limit_of_a_trader_lasts(api: Api) -> None:
    """EX-189: what a trader does about its own broken limit becomes a halt of the trader, once, so
    that it survives its process and ends by a reset.
    """
    key = await api.add()
    async with api.trader(key) as trader:
        broken = LimitBroken(
            limit="max_daily_loss",
            bound="50 USDT",
            value="51 USDT",
            action=LIMIT_ACTION_HALTED,
            trader_id="T-001",
        )
        trader.outside.record(TraderFact(limit=broken), TraderFact(limit=broken))
        [halt] = await _halts(api, 1)
        assert (halt.scope.trader_id, halt.reducing) == ("T-001", False)
        assert "51 USDT" in halt.reason
        await until(lambda: api.redis.get("halt:default:trader:T-001"))
        await until(lambda: api.sql("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM reports)"))
        await _reset(api, halt.halt_id)
    assert await api.redis.get("halt:default:trader:T-001") is None
