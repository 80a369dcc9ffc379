"""Orders that closed so long ago that a restored cache has them no more.

Their ids are still known: nothing is sent under one again, and a venue that tells of one does not
make the trader take it for somebody else's order, whose fills would count a second time.
"""

from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.orders import Order
from nautilus_trader.system.kernel import NautilusKernel

from services.live_execution.engine.memory import Memory
from services.live_execution.trader.ports import Refusal


def refusal_of_used(order: Order, memory: Memory | None) -> Refusal | None:
    """Return why an order is not sent: its id was another order's."""
    if memory is None or order.client_order_id.value not in memory.forgotten:
        return None
    text = f"{order.client_order_id} was the id of an earlier order. Submit it under a new one."
    return Refusal("ORDER_ID_REUSED", text)


def pass_over_forgotten(kernel: NautilusKernel, memory: Memory) -> None:
    """Let reconciliation pass over what venues report of forgotten orders."""
    engine = kernel.exec_engine
    forgotten = {ClientOrderId(each) for each in memory.forgotten}
    engine.filtered_client_order_ids = forgotten.union(engine.filtered_client_order_ids)
