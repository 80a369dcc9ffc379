"""What a trader remembers over its restarts and Nautilus' cache has no place for."""

from decimal import Decimal

import msgspec

from mesh.execution.v1 import events_pb2 as pb


class Realized(msgspec.Struct):
    """Profit of closed positions of one kind that a snapshot holds no more one by one."""

    instrument_id: str
    strategy_id: str
    account_id: str
    currency: str
    count: int = 0
    total: Decimal = Decimal(0)
    last: Decimal = Decimal(0)
    """That of the last one, which is in ``total`` too."""

    def add(self, amount: Decimal) -> None:
        """Add the profit of one more."""
        self.count += 1
        self.total += amount
        self.last = amount


class Memory(msgspec.Struct):
    """Kept up to date by ``learning.learn``, fact by fact."""

    instruments: set[str] = msgspec.field(default_factory=set)
    """Ids of instruments whose definition is recorded."""
    currencies: set[str] = msgspec.field(default_factory=set)
    """Codes of currencies whose definition is recorded."""
    strategy_states: dict[str, dict[str, bytes]] = msgspec.field(default_factory=dict)
    """What each component saved last, by instance id."""
    state_versions: dict[str, str] = msgspec.field(default_factory=dict)
    """Version of the code that saved it, by instance id."""
    strategy_failures: dict[str, pb.StrategyFailed] = msgspec.field(default_factory=dict)
    """Components that raised and have not run since, by instance id."""
    commands: dict[str, None] = msgspec.field(default_factory=dict)
    """Ids of the last commands that were taken."""
    intents: dict[str, pb.OrderIntent] = msgspec.field(default_factory=dict)
    """Intents without an outcome, by client order id."""
    unknown: set[str] = msgspec.field(default_factory=set)
    """Client order ids of unknown outcome."""
    flattens: dict[str, pb.FlattenDone] = msgspec.field(default_factory=dict)
    """How the last flattens ended, by id."""
    clock_ns: int = 0
    """Data time of a replay; 0 when there was none."""
    rows: int = 0
    """Rows that were played."""
    market: bytes = b""
    """What the sandboxes of a replay knew of their markets then."""
    marks: dict[str, pb.Mark] = msgspec.field(default_factory=dict)
    """The last recorded price of each instrument."""
    order_counts: dict[str, int] = msgspec.field(default_factory=dict)
    """The highest number that a strategy's client order ids have had, by strategy id."""
    list_counts: dict[str, int] = msgspec.field(default_factory=dict)
    """The same of order list ids."""
    position_counts: dict[str, int] = msgspec.field(default_factory=dict)
    """The same of position ids."""
    live_orders: dict[str, None] = msgspec.field(default_factory=dict)
    """Client order ids of orders that were not closed when the last snapshot was made."""
    closed_orders: dict[str, None] = msgspec.field(default_factory=dict)
    """Those of the orders that closed last, in that order: a snapshot holds them."""
    forgotten: dict[str, None] = msgspec.field(default_factory=dict)
    """Those that closed before them: after a restart the cache knows them no more."""
    closed_positions: dict[str, pb.Position] = msgspec.field(default_factory=dict)
    """Positions that closed last, by id: a snapshot holds them whole."""
    latest_closed: dict[str, str] = msgspec.field(default_factory=dict)
    """The one that closed last of each instrument, strategy and account: it stays whole."""
    cycles: dict[str, Realized] = msgspec.field(default_factory=dict)
    """Of NETTING positions that were opened again: their earlier lives, by position id."""
    realized: dict[str, Realized] = msgspec.field(default_factory=dict)
    """Closed positions that a snapshot does not hold, by instrument, strategy and account."""
    records: dict[str, tuple[int, list[bytes]]] = msgspec.field(default_factory=dict)
    """Closed orders as a snapshot has them, made once: number of events, and their facts."""
    holdings: dict[str, tuple[int, list[bytes]]] = msgspec.field(default_factory=dict)
    """The same of closed positions, by id: time of the last fill, and the facts of all."""
