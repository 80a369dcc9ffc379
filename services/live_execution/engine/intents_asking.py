"""Asks a real venue about one order, without taking an error for an answer."""

import asyncio
import enum
import logging
from typing import Any

from nautilus_trader.core.datetime import unix_nanos_to_dt
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateFillReports,
    GenerateOrderStatusReport,
    GenerateOrderStatusReports,
    QueryAccount,
)
from nautilus_trader.execution.reports import FillReport, OrderStatusReport
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.orders import Order
from nautilus_trader.system.kernel import NautilusKernel

from meshkit.nautilus.venues.facts import FACTS, Facts

log = logging.getLogger("live_execution.intents")

ADAPTERS = "nautilus_trader.adapters."

SINCE_NS = 60 * 1_000_000_000
"""How far (ns) before it was made an order is looked for: clocks differ."""

ANSWER_S = 10.0
"""How long a venue may take to answer."""


class Answer(enum.Enum):
    """What a venue said of an order."""

    TOLD = "told"
    """It knows the order; what it said has become events."""
    ABSENT = "absent"
    """It does not know the order."""
    SILENT = "silent"
    """Nothing that can be relied on."""


async def ask(kernel: NautilusKernel, client: Any, order: Order) -> Answer:
    """Ask a venue's client about an order and reconcile what it says."""
    try:
        async with asyncio.timeout(ANSWER_S):
            report = await _report(kernel, client, order) or await _listed(kernel, client, order)
            if report is None:
                return await _absent(kernel, client)
            fills = await _fills(kernel, client, report) if report.filled_qty > 0 else []
    except Exception as error:  # an adapter raises what it likes: that is no answer
        log.warning("%s does not say what became of %s: %s", client.id, order, type(error).__name__)
        return Answer.SILENT
    kernel.exec_engine._reconcile_order_report(report, trades=fills)
    return Answer.TOLD


class _NoAnswer(Exception):
    """The client had an error and says that there is no order."""


async def _report(kernel: NautilusKernel, client: Any, order: Order) -> OrderStatusReport | None:
    command = GenerateOrderStatusReport(
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        command_id=UUID4(),
        ts_init=kernel.clock.timestamp_ns(),
    )
    asked = _guard(client)
    asked[order.client_order_id] = False
    try:
        report: OrderStatusReport | None = await client.generate_order_status_report(command)
    finally:
        guessed = asked.pop(order.client_order_id)
    # Binance's client counts errors that it has swallowed, and rejects the order at some count.
    swallowed = getattr(client, "_generate_order_status_retries", {})
    if report is None and (guessed or order.client_order_id in swallowed):
        swallowed.pop(order.client_order_id, None)
        raise _NoAnswer
    return report


def _guard(client: Any) -> dict[ClientOrderId, bool]:
    """Keep a client from rejecting an order because it could not ask about it.

    Returns the orders that are asked for, and whether the client has tried to.
    """
    known: dict[ClientOrderId, bool] | None = client.__dict__.get("mesh_asked")
    if known is not None:
        return known
    asked: dict[ClientOrderId, bool] = {}
    reject = client.generate_order_rejected

    def rejected(
        strategy_id: Any, instrument_id: Any, client_order_id: ClientOrderId, *args: Any, **kw: Any
    ) -> None:
        if client_order_id in asked:
            asked[client_order_id] = True
        else:
            reject(strategy_id, instrument_id, client_order_id, *args, **kw)

    client.__dict__.update(mesh_asked=asked, generate_order_rejected=rejected)
    return asked


async def _listed(kernel: NautilusKernel, client: Any, order: Order) -> OrderStatusReport | None:
    """Look for an order among all that the venue lists since it was made.

    Several adapters cannot ask for a single order, or not by the client's id.
    """
    if tells_absence(client):
        return None
    command = GenerateOrderStatusReports(
        instrument_id=order.instrument_id,
        start=unix_nanos_to_dt(order.ts_init - SINCE_NS),
        end=None,
        open_only=False,
        command_id=UUID4(),
        ts_init=kernel.clock.timestamp_ns(),
    )
    for report in await client.generate_order_status_reports(command):
        same = report.client_order_id == order.client_order_id
        if same or (order.venue_order_id and report.venue_order_id == order.venue_order_id):
            return report  # type: ignore[no-any-return]  # an adapter's
    return None


def tells_absence(client: Any) -> bool:
    """Whether a client's "no such order" can be believed: where it cannot ask, it raises.

    Of most adapters an error looks the same, or the question does nothing at all. An adapter that
    is not known to tell never does: its order stays unknown until it is found.
    """
    said = getattr(client, "mesh_tells_absence", None)
    if said is not None:
        return bool(said)
    facts = facts_of(client)
    return facts is not None and facts.tells_absence


def facts_of(client: Any) -> Facts | None:
    """Return what is known of a client's adapter; None for one of somebody's own."""
    return FACTS.get(type(client).__module__.removeprefix(ADAPTERS).partition(".")[0])


async def _absent(kernel: NautilusKernel, client: Any) -> Answer:
    """Believe that there is no order when the same venue answers another question as well."""
    if not client.is_connected or not tells_absence(client):
        return Answer.SILENT
    command = QueryAccount(
        trader_id=kernel.trader_id,
        account_id=client.account_id,
        command_id=UUID4(),
        ts_init=kernel.clock.timestamp_ns(),
    )
    await client._query_account(command)
    return Answer.ABSENT


async def _fills(
    kernel: NautilusKernel, client: Any, report: OrderStatusReport
) -> list[FillReport]:
    command = GenerateFillReports(
        instrument_id=report.instrument_id,
        venue_order_id=report.venue_order_id,
        start=None,
        end=None,
        command_id=UUID4(),
        ts_init=kernel.clock.timestamp_ns(),
    )
    reports = await client.generate_fill_reports(command)
    return [each for each in reports if each.venue_order_id == report.venue_order_id]
