"""Names of streams and keys that the API and the traders share."""

from typing import NamedTuple

AREA = "facts:live_execution"
"""Facts of the API: traders made, changed and deleted; halts and flattens."""

EVERYTHING = "halt:all"
"""The latch over every trader of the mesh, whatever its project; an operator's."""


class TraderKey(NamedTuple):
    """A trader of the mesh."""

    project: str
    trader_id: str

    @property
    def facts(self) -> str:
        """The stream of the trader's own facts."""
        return f"{AREA}:{self.project}:{self.trader_id}"

    @property
    def commands(self) -> str:
        """The stream of commands on their way to it."""
        return f"commands:trader:{self.project}:{self.trader_id}"

    @property
    def queries(self) -> str:
        """The capped stream of questions to it, which change nothing."""
        return f"queries:trader:{self.project}:{self.trader_id}"

    def reply(self, query_id: str) -> str:
        """Return the list in which it answers a question."""
        return f"replies:trader:{self.project}:{self.trader_id}:{query_id}"

    def latches(self, venue: str, order_id_tag: str) -> tuple[str, ...]:
        """Return the keys that forbid an order of a strategy at a venue, when any is there."""
        return (
            EVERYTHING,
            latch(self.project, "all"),
            latch(self.project, f"venue:{venue}"),
            latch(self.project, f"trader:{self.trader_id}"),
            latch(self.project, f"strategy:{self.trader_id}:{order_id_tag}"),
        )


def latch(project: str, scope: str) -> str:
    """Return the key of a halt; ``scope`` as in the table ``halts``."""
    return f"halt:{project}:{scope}"


DESK_MANUAL = "Desk-MANUAL"
"""Nautilus' strategy id of orders that callers make."""

DESK_SAFETY = "Desk-SAFETY"
"""Nautilus' strategy id of orders that the mesh makes for positions that no strategy owns."""

TAG_MANUAL = "mesh:manual"
"""Tag of an order that a caller made for a strategy: it closes that one's position."""

TAG_SAFETY = "mesh:safety"
"""Tag of an order that the mesh made for a strategy: of a flatten, or of one that failed."""
