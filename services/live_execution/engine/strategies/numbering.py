"""Client order ids that never come twice, though an order id tag may be used by many strategies.

Nautilus counts the orders of a strategy id. Another class with the same tag would begin at 1 again,
and meet an old id within the same second of data time.
"""

from typing import Any


def go_on_counting(strategy: Any) -> None:
    """Count on from all orders and lists that strategies with this tag have made."""
    cache, factory = strategy.cache, strategy.order_factory
    same = [each for each in cache.strategy_ids() if each.get_tag() == strategy.order_id_tag]
    if any(each != strategy.id for each in same):
        orders = sum(len(cache.client_order_ids(strategy_id=each)) for each in same)
        lists = sum(len(cache.order_list_ids(strategy_id=each)) for each in same)
        factory.set_client_order_id_count(orders)
        factory.set_order_list_id_count(lists)
