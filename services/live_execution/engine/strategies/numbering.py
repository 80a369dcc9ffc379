"""Client order ids that never come twice, though an order id tag may be used by many strategies.

Nautilus sets the counts of a strategy that starts to the numbers of its orders in the cache. That
says nothing of orders that are forgotten, and another class with the same tag would begin at 1
again, and meet an old id within the same second of data time.
"""

from collections.abc import Mapping
from typing import Any, Protocol


class Numbers(Protocol):
    """The highest numbers that ids have had, by strategy id."""

    @property
    def order_counts(self) -> Mapping[str, int]:
        """Of client order ids."""

    @property
    def list_counts(self) -> Mapping[str, int]:
        """Of order list ids."""


def go_on_counting(strategy: Any, numbers: Numbers) -> None:
    """Count on from all orders and lists that strategies with this tag have made."""
    cache, factory, tag = strategy.cache, strategy.order_factory, strategy.order_id_tag
    same = [each for each in cache.strategy_ids() if each.get_tag() == tag]
    factory.set_client_order_id_count(
        max(
            [
                factory.get_client_order_id_count(),
                *(len(cache.client_order_ids(strategy_id=each)) for each in same),
                *_of(numbers.order_counts, tag),
            ]
        )
    )
    factory.set_order_list_id_count(
        max(
            [
                factory.get_order_list_id_count(),
                *(len(cache.order_list_ids(strategy_id=each)) for each in same),
                *_of(numbers.list_counts, tag),
            ]
        )
    )


def _of(counts: Mapping[str, int], tag: str) -> list[int]:
    return [number for strategy_id, number in counts.items() if strategy_id.endswith(f"-{tag}")]
