"""An execution algorithm: works a large order as equal market slices at equal times."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.execution.config import ExecAlgorithmConfig
from nautilus_trader.model.identifiers import ClientOrderId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order

NANOS = 1_000_000_000


class SlicerConfig(ExecAlgorithmConfig, frozen=True):
    """Parameters of ``Slicer``.

    Parameters
    ----------
    slices
        Number of slices.
    seconds
        Seconds between slices.

    """

    slices: Annotated[int, Meta(ge=1, le=1_000)] = 4
    seconds: Annotated[int, Meta(ge=1, le=86_400)] = 60


class Slicer(ExecAlgorithm):
    """Known to orders as ``Slicer`` unless ``exec_algorithm_id`` says otherwise.

    Spawns a market order for each slice but the last; the primary order itself is the last, with
    whatever is left by then. A slice that was refused is made up for by those after it.
    """

    def __init__(self, config: SlicerConfig | None = None) -> None:
        super().__init__(config or SlicerConfig())
        self._left: dict[ClientOrderId, int] = {}

    def on_order(self, order: Order) -> None:
        """Send the first slice and set a timer for the rest."""
        instrument = self.cache.instrument(order.instrument_id)
        slices = self.config.slices
        if instrument is None or float(order.quantity) / slices < _smallest(instrument):
            self.submit_order(order)
            return
        self._left[order.client_order_id] = slices
        self._slice(order.client_order_id)
        if order.client_order_id in self._left:
            self.clock.set_timer_ns(
                name=order.client_order_id.value,
                interval_ns=self.config.seconds * NANOS,
                start_time_ns=0,
                stop_time_ns=0,
                callback=self._on_timer,
            )

    def _on_timer(self, event: TimeEvent) -> None:
        self._slice(ClientOrderId(event.name))

    def _slice(self, client_order_id: ClientOrderId) -> None:
        order = self.cache.order(client_order_id)
        left = self._left.get(client_order_id, 0)
        if order is None or order.is_closed or left == 0:
            self._finish(client_order_id)
            return
        rest = order.quantity.as_decimal() - self._taken(order)
        instrument = self.cache.instrument(order.instrument_id)
        if left == 1:
            self._finish(client_order_id)
            self._send_last(order, instrument.make_qty(rest))
            return
        self._left[client_order_id] = left - 1
        quantity = instrument.make_qty(rest / left)
        # Not reduced by Nautilus: what 1.231 gives back after a refusal is cut to 64 bits.
        slice_ = self.spawn_market(
            order, quantity, reduce_only=order.is_reduce_only, reduce_primary=False
        )
        self.submit_order(slice_)

    def _taken(self, order: Order) -> Decimal:
        """Return what slices have filled or still may."""
        spawned = self.cache.orders_for_exec_spawn(order.client_order_id)
        return sum(
            (
                each.filled_qty.as_decimal() if each.is_closed else each.quantity.as_decimal()
                for each in spawned
                if each.client_order_id != order.client_order_id
            ),
            Decimal(0),
        )

    def _send_last(self, order: Order, rest: Quantity) -> None:
        if rest != order.quantity:
            self.modify_order_in_place(order, quantity=rest)
        self.submit_order(order)

    def _finish(self, client_order_id: ClientOrderId) -> None:
        self._left.pop(client_order_id, None)
        if client_order_id.value in self.clock.timer_names:
            self.clock.cancel_timer(client_order_id.value)

    def on_start(self) -> None:
        """Have nothing to prepare."""

    def on_stop(self) -> None:
        """Send no more slices."""
        for client_order_id in list(self._left):
            self._finish(client_order_id)

    def on_reset(self) -> None:
        """Forget the orders at work."""
        self._left.clear()


def _smallest(instrument: Instrument) -> float:
    """Return the smallest quantity that an order may have."""
    least = instrument.min_quantity or instrument.size_increment
    return float(least)
