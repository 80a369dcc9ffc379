"""Orders and commands: rows ↔ contracts, and what a caller waits for. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1 import order_pb2 as pb
from mesh.execution.v1 import order_service_pb2 as rpc
from meshkit.times import from_datetime

_TERMINAL: frozenset[int] = frozenset(
    {
        enums.ORDER_STATUS_FILLED,
        enums.ORDER_STATUS_CANCELED,
        enums.ORDER_STATUS_EXPIRED,
        enums.ORDER_STATUS_REJECTED,
        enums.ORDER_STATUS_DENIED,
        enums.ORDER_STATUS_VOIDED,
    }
)
_ACCEPTED: frozenset[int] = _TERMINAL | {
    enums.ORDER_STATUS_ACCEPTED,
    enums.ORDER_STATUS_TRIGGERED,
    enums.ORDER_STATUS_PENDING_UPDATE,
    enums.ORDER_STATUS_PENDING_CANCEL,
    enums.ORDER_STATUS_PARTIALLY_FILLED,
}
_SUBMITTED: frozenset[int] = _ACCEPTED | {
    enums.ORDER_STATUS_SUBMITTED,
    enums.ORDER_STATUS_EMULATED,
    enums.ORDER_STATUS_RELEASED,
}
_GOALS: Mapping[int, frozenset[int]] = {
    rpc.WAIT_FOR_SUBMITTED: _SUBMITTED,
    rpc.WAIT_FOR_ACCEPTED: _ACCEPTED,
    rpc.WAIT_FOR_TERMINAL: _TERMINAL,
}


@dataclass(frozen=True)
class CommandRow:
    """A command as stored."""

    command_id: str
    project: str
    trader_id: str
    kind: str
    submitter: str
    state: str
    reason: str
    message: str
    client_order_ids: tuple[str, ...]
    create_time: datetime
    expire_time: datetime | None

    @property
    def refused(self) -> bool:
        """Whether nothing was sent, nor will be."""
        return self.state in {"REFUSED", "EXPIRED"}


def command(row: CommandRow) -> pb.Command:
    """Return a command as a message."""
    return pb.Command(
        command_id=row.command_id,
        trader_id=row.trader_id,
        kind=row.kind,
        state=pb.CommandState.Value(f"COMMAND_STATE_{row.state}"),
        reason=row.reason,
        message=row.message,
        client_order_ids=row.client_order_ids,
        submitter=row.submitter,
        create_time=from_datetime(row.create_time),
        expire_time=from_datetime(row.expire_time),
    )


def order(body: bytes, submitter: str | None) -> pb.Order:
    """Return a stored order with the caller who submitted it."""
    made = pb.Order.FromString(body)
    made.submitter = submitter or made.submitter
    return made


def is_closed(order: pb.Order) -> bool:
    """Whether an order is in its last status."""
    return order.status in _TERMINAL


@dataclass(frozen=True)
class Submission:
    """Orders that are submitted together, under the keys that make it happen once.

    ``keys`` has the hash of what each key stands for. A list has a key of its own beside those of
    its orders.
    """

    kind: str
    orders: tuple[pb.OrderTicket, ...]
    order_list_id: str
    keys: Mapping[str, bytes]

    @classmethod
    def of(cls, orders: Sequence[pb.OrderTicket], order_list_id: str = "") -> "Submission":
        """Return the submission of an order, or of a list."""
        listed = order_list_id.encode() + b"/"  # an order alone and one of a list are not the same
        keys = {each.client_order_id: _hash(listed + _bytes(each)) for each in orders}
        if order_list_id:  # no client order id has a slash
            whole = pb.SubmitCommand(orders=orders, order_list_id=order_list_id)
            keys[f"list/{order_list_id}"] = _hash(_bytes(whole))
        kind = "SUBMIT_LIST" if order_list_id else "SUBMIT"
        return cls(kind, tuple(orders), order_list_id, dict(sorted(keys.items())))

    @property
    def client_order_ids(self) -> list[str]:
        """Ids in the order of the request."""
        return [each.client_order_id for each in self.orders]

    @property
    def instrument_ids(self) -> list[str]:
        """Instruments, each once."""
        return sorted({each.instrument_id for each in self.orders})

    @property
    def command(self) -> pb.TraderCommand:
        """What is sent to the trader."""
        return pb.TraderCommand(
            submit=pb.SubmitCommand(orders=self.orders, order_list_id=self.order_list_id)
        )


@dataclass(frozen=True)
class Goal:
    """What a caller waits for: orders by id, and the statuses that will do for each.

    Orders that a parent holds back are not waited for. One that goes to an execution algorithm is
    sent by it in slices: for SUBMITTED it is enough that the trader has taken it.
    """

    statuses: Mapping[str, frozenset[int]]
    taken: frozenset[str]

    @classmethod
    def of(cls, wait_for: int, orders: Sequence[pb.OrderTicket]) -> "Goal":
        """Return the goal of a submission."""
        heads = [each for each in orders if not each.parent_order_id]
        sliced = {o.client_order_id for o in heads if o.exec_algorithm_id}
        return cls(
            {each.client_order_id: _GOALS[wait_for] for each in heads},
            frozenset(sliced if wait_for == rpc.WAIT_FOR_SUBMITTED else ()),
        )

    def reached(self, command: CommandRow | None, orders: Mapping[str, pb.Order]) -> bool:
        """Whether there is nothing more to wait for: all have come so far, or never will."""
        if command is not None and command.refused:
            return True
        done = command is not None and command.state == "DONE"
        return all(
            (known := orders.get(each)) is not None
            and (known.status in statuses or (done and each in self.taken))
            for each, statuses in self.statuses.items()
        )

    def denied(self, orders: Mapping[str, pb.Order]) -> pb.Order | None:
        """Return an order that was waited for and was denied."""
        for each in self.statuses:
            if each in orders and orders[each].status == enums.ORDER_STATUS_DENIED:
                return orders[each]
        return None


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
