"""Instruments of orders by hand: found, and their market followed, as a strategy would."""

from collections.abc import Iterable
from typing import Any

from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument

from services.live_execution.engine.desk import Desk
from services.live_execution.engine.waiting import until

FIND_S = 3.0
"""How long (s) the trader's data may take to find an instrument."""

MARKET_S = 2.0
"""How long (s) the first price of an instrument is waited for before an order goes."""


class Following:
    """Has the desk follow the instruments that it trades."""

    def __init__(self, kernel: Any, desk: Desk) -> None:
        self._kernel = kernel
        self._cache = kernel.cache
        self._desk = desk
        self._followed: set[InstrumentId] = set()

    async def find(self, instrument_id: InstrumentId) -> Instrument | None:
        """Return an instrument; one that is traded for the first time is followed from now on."""
        if not self._has_data():
            return self._known(instrument_id)
        if self._known(instrument_id) is None:
            self._desk.request_instrument(instrument_id)
            await until(lambda: self._known(instrument_id) is not None, FIND_S)
        if self._known(instrument_id) is not None and instrument_id not in self._followed:
            self.follow([instrument_id])
            await until(lambda: self._has_price(instrument_id), MARKET_S)
        return self._known(instrument_id)

    def follow(self, instrument_ids: Iterable[InstrumentId]) -> None:
        """Follow quotes and trades of instruments."""
        if not self._has_data():
            return
        for instrument_id in instrument_ids:
            if instrument_id not in self._followed:
                self._followed.add(instrument_id)
                self._desk.subscribe_quote_ticks(instrument_id)
                self._desk.subscribe_trade_ticks(instrument_id)

    def held(self) -> set[InstrumentId]:
        """Return the instruments of open orders and positions."""
        open_ = (*self._cache.positions_open(), *self._cache.orders_open())
        return {each.instrument_id for each in (*open_, *self._cache.orders_emulated())}

    def _known(self, instrument_id: InstrumentId) -> Instrument | None:
        found: Instrument | None = self._cache.instrument(instrument_id)
        return found

    def _has_data(self) -> bool:
        return bool(self._kernel.data_engine._clients)

    def _has_price(self, instrument_id: InstrumentId) -> bool:
        cache = self._cache
        return bool(cache.has_quote_ticks(instrument_id) or cache.has_trade_ticks(instrument_id))
