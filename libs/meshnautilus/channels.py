"""Subscriptions of Nautilus ↔ channels of the mesh."""

from typing import NamedTuple

from mesh.marketdata.v1 import live_pb2, marketdata_pb2


class Channel(NamedTuple):
    """A kind of an instrument, or of a bar type: what can be subscribed to once."""

    kind: int
    instrument_id: str
    bar_type: str = ""

    @classmethod
    def of(cls, message: live_pb2.Channel) -> "Channel":
        """Return the channel of a message."""
        return cls(message.kind, message.instrument_id, message.bar_type)

    def message(self) -> live_pb2.Channel:
        """Return it as a message."""
        return live_pb2.Channel(
            kind=marketdata_pb2.DataKind.ValueType(self.kind),
            instrument_id=self.instrument_id,
            bar_type=self.bar_type,
        )

    def __str__(self) -> str:
        """Return it as logs say it."""
        kind = marketdata_pb2.DataKind.Name(marketdata_pb2.DataKind.ValueType(self.kind))
        name = kind.removeprefix("DATA_KIND_").lower().replace("_", " ")
        return self.bar_type or f"{self.instrument_id} {name}"
