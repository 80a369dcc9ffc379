"""EX-01 to EX-26: every order type, time in force and instruction against the sandbox.

Modelled on Nautilus' ``spec_exec_testing`` (TC-E…), through the desk, the gate and the journal.
"""

from integration.live_execution.engine.bench import Bench, ticket

FILLED = ["INITIALIZED", "SUBMITTED", "FILLED"]
RESTING = ["INITIALIZED", "SUBMITTED", "ACCEPTED"]
PAST = {"expire_time": {"seconds": 1}}


async def test_markets(trader: Bench) -> None:
    """EX-01 (TC-E01–E06): market orders fill, whatever their time in force; closing ends flat."""
    plans = [
        {"side": "BUY", "quantity": "0.5"},
        {"side": "SELL", "quantity": "0.2"},
        {"time_in_force": "IOC", "quantity": "0.1"},
        {"time_in_force": "FOK", "quantity": "0.1"},
    ]
    for plan in plans:
        order = ticket(**plan)
        taken = await trader.submit(order)
        assert (taken.reason, taken.message, taken.submitter) == ("", "", "tester")
        assert trader.events(order.client_order_id)[::2] == FILLED[::2], plan
    assert trader.net() == "0.500000"
