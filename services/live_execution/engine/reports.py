"""Reports of real venues, mended where what Nautilus makes of them would be wrong.

Binance's adapter asks for a symbol under two names when an order of it has filled unseen, and gets
everything twice: Nautilus takes the doubled fills for a position that it does not know, and
invents an order against it. It reports every spot position as flat, as a spot venue knows no
positions: Nautilus then invents a sale of all that was bought. And where the venue answers with an
error, it reports nothing: an account with orders and positions then reads as flat.
"""

import logging
import re
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.reports import PositionStatusReport
from nautilus_trader.model.enums import AccountType, PositionSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from services.live_execution.engine.intents_asking import facts_of

log = logging.getLogger("trader.reports")

SAYS_NOTHING = re.compile(
    r"-100[67]\b|(execution )?status unknown|unknown error|timed? ?out|connection (reset|closed"
    r"|aborted|lost)|broken pipe|\bHTTP 50[0-9]\b|error sending",
    re.IGNORECASE,
)
"""Errors after which an order may be at work: Binance's own words, and those of networks."""

type Reports = Callable[..., Coroutine[Any, Any, list[Any]]]


def mend_reports(client: Any) -> None:
    """Mend the reports of the execution client of a real venue."""
    _tell_errors(client)
    client.generate_fill_reports = _once(client.generate_fill_reports, _fill)
    client.generate_order_status_reports = _once(client.generate_order_status_reports, _order)
    client.generate_order_rejected = _known(client.generate_order_rejected)
    if client.account_type == AccountType.CASH:
        SpotPositions(client).install()


_errors: ContextVar[list[Exception] | None] = ContextVar("errors", default=None)
"""What the requests of the report under way have raised."""


def _tell_errors(client: Any) -> None:
    """Let a report whose requests have failed raise, where the adapter gives an empty one."""
    http: Any = getattr(client, "_http_client", None)
    if not hasattr(http, "send_request"):
        return  # not one of Nautilus' clients in Python

    send = http.send_request

    async def told(*arguments: Any, **named: Any) -> Any:
        try:
            return await send(*arguments, **named)
        except Exception as error:
            found = _errors.get()
            if found is not None:
                found.append(error)
            raise

    http.send_request = told
    for name in ("order_status", "fill", "position_status"):
        method = f"generate_{name}_reports"
        setattr(client, method, _honest(getattr(client, method)))


def _honest(reports: Reports) -> Reports:
    async def honest(*arguments: Any, **named: Any) -> list[Any]:
        errors: list[Exception] = []
        token = _errors.set(errors)
        try:
            found = await reports(*arguments, **named)
        finally:
            _errors.reset(token)
        if errors and not found:
            raise errors[-1]
        return found

    return honest


def reduces_only(client: Any) -> bool:
    """Whether a venue's client passes on that an order is to reduce only."""
    facts = facts_of(client)
    passes = facts is not None and facts.reduces_only and client.account_type == AccountType.MARGIN
    return bool(passes and getattr(client, "_use_reduce_only", True))


def _known(reject: Callable[..., None]) -> Callable[..., None]:
    """Tell only of rejections: of an error that says nothing, what became of the order is asked."""

    def known(
        strategy_id: Any,
        instrument_id: Any,
        client_order_id: Any,
        reason: str,
        *args: Any,
        **kw: Any,
    ) -> None:
        if SAYS_NOTHING.search(reason):
            log.warning("it is not known what became of %s: %s", client_order_id, reason)
            return
        reject(strategy_id, instrument_id, client_order_id, reason, *args, **kw)

    return known


def _once(reports: Reports, key: Callable[[Any], Hashable]) -> Reports:
    async def once(*arguments: Any, **named: Any) -> list[Any]:
        found = await reports(*arguments, **named)
        return list({key(report): report for report in found}.values())

    return once


def _fill(report: Any) -> Hashable:
    return report.instrument_id, report.venue_order_id, report.trade_id


def _order(report: Any) -> Hashable:
    return report.instrument_id, report.venue_order_id


class SpotPositions:
    """Positions of a spot account: those that the trader's own fills add up to.

    While everything is reported at once there are none yet: what has filled unseen is applied
    first.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._mass_status = client.generate_mass_status
        self._all_at_once = False

    def install(self) -> None:
        """Answer in place of the client."""
        self._client.generate_mass_status = self._report_all
        self._client.generate_position_status_reports = self._report

    async def _report_all(self, *arguments: Any, **named: Any) -> Any:
        self._all_at_once = True
        try:
            return await self._mass_status(*arguments, **named)
        finally:
            self._all_at_once = False

    async def _report(self, command: Any) -> list[PositionStatusReport]:
        if self._all_at_once:
            return []
        held: dict[InstrumentId, Decimal] = {}
        if command.instrument_id is not None:
            held[command.instrument_id] = Decimal(0)
        for position in self._client._cache.positions_open(instrument_id=command.instrument_id):
            if position.account_id == self._client.account_id:
                net = held.get(position.instrument_id, Decimal(0))
                held[position.instrument_id] = net + position.signed_decimal_qty()
        return [self._made(instrument_id, net) for instrument_id, net in held.items()]

    def _made(self, instrument_id: InstrumentId, net: Decimal) -> PositionStatusReport:
        now = self._client._clock.timestamp_ns()
        instrument = self._client._cache.instrument(instrument_id)
        size = abs(net)
        return PositionStatusReport(
            account_id=self._client.account_id,
            instrument_id=instrument_id,
            position_side=_side(net),
            quantity=instrument.make_qty(size) if instrument is not None else Quantity(size, 0),
            report_id=UUID4(),
            ts_last=now,
            ts_init=now,
        )


def _side(net: Decimal) -> PositionSide:
    if net == 0:
        return PositionSide.FLAT
    return PositionSide.LONG if net > 0 else PositionSide.SHORT
