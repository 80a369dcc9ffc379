"""Bars that are made here go on over a restart: history first, then the bar that is being made.

Nautilus' ``request_aggregated_bars(…, update_subscriptions=True)`` makes bars of old ticks and
leaves the last, unfinished one to the subscription that follows. Two things are mended: bars that
have ended since the last tick are closed, not melted into the first live one; and a second
strategy that asks for bars which are being made already gets an answer.
"""

from typing import Any

from nautilus_trader.common.component import TimeEvent
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.data.aggregation import TimeBarAggregator


class Aggregating:
    """Mends a data engine's requests for bars that it makes itself."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._finalize = engine._finalize_aggregated_bars_request

    def install(self) -> None:
        """Stand in for two methods of the engine, which asks for them by name."""
        self._engine._finalize_aggregated_bars_request = self._close_ended
        self._engine._should_request_aggregated_bars = self._may_request

    def _may_request(self, request: Any) -> bool:
        """Let every request be answered: by an aggregator of its own where there is one at work.

        That one has what a later subscription needs, so this one need not update it.
        """
        used = (self._aggregator(each, None) for each in request.params.get("bar_types", ()))
        if any(each is not None and each.is_running for each in used):
            request.params["update_subscriptions"] = False
        return True

    def _close_ended(self, response: Any) -> None:
        params = self._engine._bar_types_params.get(response.correlation_id, {})
        own = None if params.get("update_subscriptions") else response.correlation_id
        for bar_type in params.get("bar_types", ()):
            aggregator = self._aggregator(bar_type, own)
            if isinstance(aggregator, TimeBarAggregator):
                self._close(aggregator)
        self._finalize(response)

    def _close(self, aggregator: Any) -> None:
        """Close the bars that ended before now. One that ends right now the subscription closes."""
        now, ends = self._engine._clock.timestamp_ns(), aggregator.next_close_ns
        while 0 < ends < now and aggregator.interval_ns:  # months and years have none
            aggregator._build_bar(TimeEvent(str(aggregator.bar_type), UUID4(), ends, ends))
            ends += aggregator.interval_ns

    def _aggregator(self, bar_type: Any, request_id: Any) -> Any:
        return self._engine._bar_aggregators.get((bar_type.standard(), request_id))
