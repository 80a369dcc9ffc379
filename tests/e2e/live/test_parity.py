"""One strategy and one set of data: a backtest through the mesh, and a trader on a replay.

EX-73: internal minute bars, GTD orders and brackets, the sandbox in lockstep. Orders, fills,
positions and balances are the same; the event ids that each run draws are not compared.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.common.v1 import enums_pb2 as enums
from mesh.common.v1.types_pb2 import Money, TimeRange
from mesh.execution.v1.order_pb2 import Order
from mesh.marketdata.v1 import marketdata_pb2 as md
from mesh.strategy.v1 import strategy_pb2
from meshclient.client import MeshClient
from running_mesh import RunningMesh
from services.market_data import sample

pytestmark = pytest.mark.timeout(300)

BTC = "BTCUSDT-PERP.SIM"
START, END = sample.START, sample.START + 60 * sample.MINUTE
STRATEGY = '''
from datetime import timedelta
from decimal import Decimal

from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

class ParityConfig(StrategyConfig, frozen=True):
    instrument_id: str = "BTCUSDT-PERP.SIM"
    size: Decimal = Decimal("0.010")

class Parity(Strategy):
    """A bracket or a GTD order at every bar, now on one side and then on the other."""
    def __init__(self, config):
        super().__init__(config)
        self.bars = 0

    def on_start(self):
        self.wanted = InstrumentId.from_str(self.config.instrument_id)
        self.subscribe_bars(BarType.from_str(f"{self.wanted}-1-MINUTE-LAST-INTERNAL"))

    def on_bar(self, bar):
        self.bars += 1
        made = self.cache.instrument(self.wanted)
        size, sign = made.make_qty(self.config.size), 1 if self.bars % 4 < 2 else -1
        side = OrderSide.BUY if sign > 0 else OrderSide.SELL
        price = lambda offset: made.make_price(bar.close.as_double() + sign * offset)
        if self.bars % 2:
            self.submit_order_list(self.order_factory.bracket(
                self.wanted, side, size, sl_trigger_price=price(-12), tp_price=price(40)))
        else:
            self.submit_order(self.order_factory.limit(
                self.wanted, side, size, price(-15), time_in_force=TimeInForce.GTD,
                expire_time=self.clock.utc_now() + timedelta(seconds=90)))
'''


@pytest.mark.long
async def test_ex73_a_replay_trades_as_a_backtest(live_mesh: RunningMesh, tmp_path: Path) -> None:
    """EX-73: through gateway and services both ways, the orders are the same to the last fill."""
    async with MeshClient.from_profile(env=live_mesh.env) as client:
        await load(client, tmp_path)
        run = await client.backtests.run(_backtest())
        tables = {
            name: (await client.backtests.table(run.backtest_id, name)).to_pandas()
            for name in ("orders", "positions")
        }
        await client.traders.create("PARITY-001", _trader(), start=True)
        try:
            orders = await played(client)
            positions = await client.orders.positions("PARITY-001")
            accounts = await client.orders.accounts("PARITY-001")
        finally:
            await client.traders.stop("PARITY-001")
    theirs = sorted(map(_row, tables["orders"].to_dict("records")))
    assert sorted(map(as_row, orders)) == theirs
    assert len(theirs) > 100
    kinds = {(row[2], row[3]) for row in theirs}
    assert {("LIMIT", "EXPIRED"), ("LIMIT", "FILLED"), ("STOP_MARKET", "FILLED")} <= kinds
    assert [Decimal(money.amount) for money in run.result.accounts[0].balances] == [
        Decimal(balance.total) for balance in accounts[0].balances
    ]
    (mine,) = positions
    closed = tables["positions"]
    last = closed[~closed["is_snapshot"].astype(bool)].to_dict("records")[-1]
    assert (float(mine.quantity), mine.avg_px_open, mine.avg_px_close) == pytest.approx(
        tuple(float(last[name]) for name in ("quantity", "avg_px_open", "avg_px_close"))
    )


async def load(client: MeshClient, folder: Path) -> None:
    """Import the sample's trades, and the strategy."""
    await client.instruments.ensure(
        next(each for each in sample.instruments() if each.instrument_id == BTC)
    )
    files = sample.write(folder / "sample")
    trades = next(file for file in files if file.spec.kind == md.DATA_KIND_TRADE_TICK)
    await client.data.import_file(trades.path, trades.spec)
    source = strategy_pb2.StrategySource(
        files=[strategy_pb2.SourceFile(path="parity.py", text=STRATEGY)]
    )
    await client.strategies.add("parity", source)


def _range() -> TimeRange:
    start, end = Timestamp(), Timestamp()
    start.FromNanoseconds(START)
    end.FromNanoseconds(END)
    return TimeRange(start=start, end=end)


def _backtest() -> pb.BacktestSpec:
    spec = pb.BacktestSpec(trader_id="PARITY-001", range=_range())
    spec.venues.add(
        name="SIM",
        oms_type=enums.OMS_TYPE_NETTING,
        account_type=enums.ACCOUNT_TYPE_MARGIN,
        starting_balances=[Money(amount="1000000", currency="USDT")],
        default_leverage="10",
    )
    spec.data.add(kind=md.DATA_KIND_TRADE_TICK, instrument_id=BTC)
    spec.components.add(strategy_id="parity").config.update({"order_id_tag": "001"})
    return spec


def _trader() -> dict[str, Any]:
    sandbox = {"starting_balances": ["1000000 USDT"], "default_leverage": 10}
    return {
        "strategies": [{"order_id_tag": "001", "strategy_id": "parity"}],
        "venues": [{"venue": "SIM", "sandbox": sandbox}],
        "data": {
            "replay": {"range": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T01:00:00Z"}},
            "instrument_ids": [BTC],
        },
    }


async def played(client: MeshClient, trader_id: str = "PARITY-001") -> Sequence[Order]:
    """Wait for the end of the replay, and return the orders."""
    async with asyncio.timeout(120):
        while not (trader := await client.traders.get(trader_id)).replay_ended:
            assert trader.state != 9, trader.message
            await asyncio.sleep(0.2)
    found: Sequence[Order] = await client.orders.list(trader_id)
    return found


def as_row(order: Order) -> tuple[str, ...]:
    """Return an order as the rows of a backtest are: all that must be the same."""
    return (
        order.client_order_id,
        enums.OrderSide.Name(order.side).removeprefix("ORDER_SIDE_"),
        enums.OrderType.Name(order.type).removeprefix("ORDER_TYPE_"),
        enums.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_"),
        _number(order.quantity),
        _number(order.filled_qty),
        _number(order.price),
        _number(order.trigger_price),
        _number(order.avg_px),
        str(order.ts_last.ToNanoseconds()),
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    names = ("quantity", "filled_qty", "price", "trigger_price", "avg_px")
    return (
        row["client_order_id"],
        row["side"],
        row["type"],
        row["status"],
        *(_number(row[name]) for name in names),
        str(row["ts_last"]),
    )


def _number(value: Any) -> str:
    """Return a number to six places; what is absent is 0 on one side and no number on the other."""
    number = float(value or 0)
    return "0.000000" if number != number else f"{number:.6f}"
