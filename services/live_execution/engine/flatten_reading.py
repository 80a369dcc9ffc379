"""What is still open at a venue: by its own account, and by the trader's."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateOrderStatusReports,
    GeneratePositionStatusReports,
)
from nautilus_trader.model.identifiers import InstrumentId

READ_S = 10.0
"""How long (s) a venue may take to report."""


class Scope(msgspec.Struct, frozen=True):
    """What a flatten reaches; empty fields reach all."""

    venue: str = ""
    order_id_tag: str = ""

    def holds(self, what: Any) -> bool:
        """Say whether an order or a position is in reach."""
        in_venue = self.venue in ("", str(what.instrument_id.venue))
        return in_venue and self.order_id_tag in ("", what.strategy_id.get_tag())


class Left(msgspec.Struct):
    """What is open of an instrument."""

    orders: int = 0
    quantity: Decimal = Decimal(0)
    """Net, signed."""
    positions: int = 0
    """Open in the trader's books: two of them may net to nothing."""

    @property
    def is_flat(self) -> bool:
        """Whether nothing is."""
        return self.orders == 0 and self.quantity == 0 and self.positions == 0


class Reading(msgspec.Struct):
    """What was read back."""

    left: dict[InstrumentId, Left]
    unreachable: dict[str, str]
    """Venues that did not report, and why."""


class Reader:
    """Reads back from the venues of a node. A sandbox reports its exchange's own book."""

    def __init__(self, node: Any, scope: Scope) -> None:
        self._cache = node.kernel.cache
        self._clients = node.kernel.exec_engine._clients
        self._clock = node.kernel.clock
        self._scope = scope

    async def read(self, also: Iterable[InstrumentId] = ()) -> Reading:
        """Return what is open of the instruments in reach, and of some others."""
        left: dict[InstrumentId, Left] = defaultdict(Left)
        for instrument_id in also:
            left[instrument_id] = Left()
        unreachable: dict[str, str] = {}
        for client in self._reached(also):
            venue = str(client.venue or client.id)
            try:
                async with asyncio.timeout(READ_S):
                    await self._read_venue(client, left)
            except TimeoutError:
                unreachable[venue] = f"it did not report within {READ_S:.0f} s"
            except Exception as error:  # an adapter's, of whatever class its library has
                unreachable[venue] = f"it could not be asked ({type(error).__name__})"
            else:
                if not client.is_connected:
                    unreachable[venue] = "the trader is not connected to it"
        self._read_own(left)
        return Reading(dict(left), unreachable)

    def _reached(self, also: Iterable[InstrumentId]) -> list[Any]:
        """Return the clients to ask: all, or those that serve the venue."""
        if not self._scope.venue:
            return list(self._clients.values())
        fits = [c for c in self._clients.values() if str(c.venue or c.id) == self._scope.venue]
        return fits or list(self._clients.values())

    async def _read_venue(self, client: Any, left: dict[InstrumentId, Left]) -> None:
        now = self._clock.timestamp_ns()
        orders = await client.generate_order_status_reports(
            GenerateOrderStatusReports(None, None, None, True, UUID4(), now)
        )
        for report in orders:
            if report.is_open and self._is_mine(report):
                left[report.instrument_id].orders += 1
        if self._scope.order_id_tag:
            return  # a venue knows no strategies
        positions = await client.generate_position_status_reports(
            GeneratePositionStatusReports(None, None, None, UUID4(), now)
        )
        for report in positions:
            if self._scope.venue in ("", str(report.instrument_id.venue)):
                left[report.instrument_id].quantity += report.signed_decimal_qty

    def _is_mine(self, report: Any) -> bool:
        if self._scope.venue not in ("", str(report.instrument_id.venue)):
            return False
        if not self._scope.order_id_tag:
            return True
        order = report.client_order_id and self._cache.order(report.client_order_id)
        return order is not None and self._scope.holds(order)

    def _read_own(self, left: dict[InstrumentId, Left]) -> None:
        """Add what the trader knows and the venue did not say: flat is what both call flat.

        A spot venue reports no positions, and some adapters report nothing when they fail.
        """
        own: dict[InstrumentId, Left] = defaultdict(Left)
        # An order whose cancel is awaited is in both: it is one order.
        for order in {*self._cache.orders_open(), *self._cache.orders_inflight()}:
            if self._scope.holds(order):
                own[order.instrument_id].orders += 1
        for position in self._cache.positions_open():
            if self._scope.holds(position):
                own[position.instrument_id].quantity += position.signed_decimal_qty()
                own[position.instrument_id].positions += 1
        for instrument_id, mine in own.items():
            told = left[instrument_id]
            told.orders = max(told.orders, mine.orders)
            told.quantity = told.quantity or mine.quantity
            told.positions = mine.positions
