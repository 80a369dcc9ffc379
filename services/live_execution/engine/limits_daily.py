"""Profit and loss of a day, realised and unrealised since 00:00 UTC, kept over restarts."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import PositionSide
from nautilus_trader.model.objects import Currency, Money, Price
from nautilus_trader.model.position import Position

from mesh.execution.v1 import events_pb2 as pb
from services.live_execution.engine.limits_exposure import converted
from services.live_execution.engine.marks import price_of

DAY_NS = 86_400 * 1_000_000_000
KEY = "limits"
"""Key of the state in ``StrategyStateSaved``."""


class Day:
    """What was won and lost today, in one currency."""

    def __init__(self, cache: Any, currency: str) -> None:
        self._cache = cache
        self._currency = Currency.from_str(currency)
        self.number = -1
        self.began: Decimal | None = None
        """Unrealised as the day began; None while it is not known."""
        self._realized: dict[str, Decimal] = {}
        self._last: dict[str, Decimal] = {}

    # -- facts

    def take(self, event: pb.PositionEvent) -> None:
        """Count what a position event has realised; see ``PositionEvent``."""
        position = event.position
        if event.type == pb.POSITION_EVENT_TYPE_ADJUSTED:
            if event.HasField("pnl_change"):
                self._add(event.pnl_change.currency, Decimal(event.pnl_change.amount))
            return
        now = Decimal(position.realized_pnl.amount or 0)
        opened = event.type == pb.POSITION_EVENT_TYPE_OPENED
        before = Decimal(0) if opened else self._last.get(position.position_id, Decimal(0))
        self._add(position.realized_pnl.currency, now - before)
        self._last[position.position_id] = now
        if event.type == pb.POSITION_EVENT_TYPE_CLOSED:
            self._last.pop(position.position_id, None)

    def _add(self, currency: str, amount: Decimal) -> None:
        if amount:
            self._realized[currency] = self._realized.get(currency, Decimal(0)) + amount

    # -- values

    def roll(self, now_ns: int) -> bool:
        """Begin a new day when it is one; say whether it was."""
        number = now_ns // DAY_NS
        if number == self.number:
            if self.began is None:
                self.began = self.unrealized()
            return False
        self.number = number
        self._realized.clear()
        self.began = self.unrealized()
        return True

    def result(self) -> Decimal | None:
        """Return profit (positive) or loss so far; None while prices or rates are missing."""
        unrealized = self.unrealized()
        if unrealized is None or self.began is None:
            return None
        realized = Decimal(0)
        for currency, amount in self._realized.items():
            worth = self._convert(Money(amount, Currency.from_str(currency)))
            if worth is None:
                return None
            realized += worth
        return realized + unrealized - self.began

    def unrealized(self) -> Decimal | None:
        """Return the unrealised result of all open positions; None while it is not known."""
        total = Decimal(0)
        for position in self._cache.positions_open():
            worth = self._unrealized(position)
            if worth is None:
                return None
            total += worth
        return total

    def _unrealized(self, position: Position) -> Decimal | None:
        if position.side == PositionSide.FLAT:
            return Decimal(0)
        price = price_of(self._cache, position.instrument_id)
        if price is None:
            return None
        money = position.unrealized_pnl(Price(price, position.price_precision))
        return self._convert(money, position)

    def _convert(self, money: Money, position: Position | None = None) -> Decimal | None:
        if money.currency == self._currency:
            return Decimal(money.as_decimal())
        venues = [position] if position is not None else self._cache.positions()
        for each in venues:
            found = converted(self._cache, each.instrument_id, money, self._currency)
            if found is not None:
                return found
        return None

    # -- state

    def state(self) -> dict[str, bytes]:
        """Return the day as it is kept."""
        body = {
            "day": self.number,
            "began": None if self.began is None else str(self.began),
            "realized": {key: str(value) for key, value in self._realized.items()},
            "last": {key: str(value) for key, value in self._last.items()},
        }
        return {KEY: json.dumps(body, sort_keys=True).encode()}

    def recall(
        self, state: dict[str, bytes], instance_id: str, facts: Iterable[tuple[int, bytes]]
    ) -> None:
        """Bring back the day: as it was kept last, and what has happened since.

        ``state`` is the last that was kept; ``facts`` are those that the trader began with.
        """
        self._load(state)
        since: list[pb.PositionEvent] = []
        for _, body in facts:
            fact = pb.TraderFact.FromString(body)
            if fact.HasField("saved") and fact.saved.instance_id == instance_id:
                since.clear()
            elif fact.HasField("position"):
                since.append(fact.position)
        for event in since:
            self.take(event)

    def _load(self, state: dict[str, bytes]) -> None:
        if KEY not in state:
            return
        body = json.loads(state[KEY])
        self.number = body["day"]
        self.began = None if body["began"] is None else Decimal(body["began"])
        self._realized = {key: Decimal(value) for key, value in body["realized"].items()}
        self._last = {key: Decimal(value) for key, value in body["last"].items()}
