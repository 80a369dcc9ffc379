"""The sample as a trader: a strategy that trades a replay in a sandbox, and a look at it."""

from meshclient.cli.output import Output
from meshclient.cli.trade_live import TradeShow
from meshclient.cli.trade_view import ORDERS, POSITIONS
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from services.market_data import sample

TRADER = "SAMPLE-001"
SPEC = {
    "strategies": [
        {
            "order_id_tag": "001",
            "strategy_id": "ema-cross",
            "config": {
                "instrument_id": sample.EURUSD,
                "bar_type": f"{sample.EURUSD}-1-MINUTE-MID-INTERNAL",
                "trade_size": "100000",
                "fast_ema_period": 5,
                "slow_ema_period": 15,
            },
        }
    ],
    "venues": [
        {
            "venue": "SIM",
            "sandbox": {
                "starting_balances": ["1000000 USD"],
                "base_currency": "USD",
                "default_leverage": "20",
            },
        }
    ],
    "data": {
        "replay": {
            "range": {"start": "2024-01-01T00:00:00Z", "end": "2024-01-01T10:00:00Z"},
            "speed": 3600,  # an hour a second
        },
        "instrument_ids": [sample.EURUSD],
    },
}
"""EMA cross on minute bars that the trader makes of the sample's quotes."""
SECONDS = 8.0
"""How long the first start shows it."""


async def show_trading(mesh: MeshClient) -> None:
    """Deploy the sample's trader, show it for some seconds and stop it.

    One of an earlier time is replaced: its replay has come to its end. It can be started again.
    """
    await _remove(mesh)
    await mesh.traders.create(TRADER, SPEC, labels={"sample": "ema-cross"}, start=True)
    await mesh.traders.wait(TRADER)
    await TradeShow(mesh, Output(as_json=False), [TRADER], [POSITIONS, ORDERS]).run(SECONDS)
    await mesh.traders.stop(TRADER)
    await mesh.traders.wait(TRADER, "STOPPED")


async def _remove(mesh: MeshClient) -> None:
    try:
        await mesh.traders.stop(TRADER)
    except MeshClientError as error:
        if error.reason == "TRADER_NOT_FOUND":
            return
        raise
    await mesh.traders.wait(TRADER, "STOPPED", "FAILED")
    await mesh.traders.delete(TRADER)
