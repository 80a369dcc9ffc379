"""Channels in words: ``BTCUSDT.BINANCE:quotes``, or a bar type."""

from collections.abc import Iterable

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_BAR
from meshclient.data import KINDS
from meshclient.errors import MeshClientError

NAMES = {number: name for name, number in KINDS.items()}
"""The word for each kind."""

_KINDS = {name: number for name, number in KINDS.items() if number != DATA_KIND_BAR}
_BARS = ("-EXTERNAL", "-INTERNAL")


def channels(*texts: str | pb.Channel) -> list[pb.Channel]:
    """Return the channels that are meant, each once.

    A text is a bar type, or ``INSTRUMENT:KIND[,KIND…]`` with the kinds quotes, trades, deltas,
    depth, mark-prices, index-prices and funding-rates. Raises ``MeshClientError`` for any other.
    """
    found: dict[bytes, pb.Channel] = {}
    for each in texts:
        for channel in [each] if isinstance(each, pb.Channel) else _read(each):
            found.setdefault(channel.SerializeToString(deterministic=True), channel)
    return list(found.values())


def _read(text: str) -> Iterable[pb.Channel]:
    if text.endswith(_BARS):
        return [pb.Channel(kind=DATA_KIND_BAR, bar_type=text)]
    instrument, _, kinds = text.rpartition(":")
    names = [name.strip() for name in kinds.split(",")]
    if not instrument or any(name not in _KINDS for name in names):
        raise _unknown(text)
    return [pb.Channel(kind=_KINDS[name], instrument_id=instrument) for name in names]


def channel_text(channel: pb.Channel) -> str:
    """Return a channel as ``channels`` reads it."""
    if channel.bar_type:
        return channel.bar_type
    return f"{channel.instrument_id}:{NAMES.get(channel.kind, channel.kind)}"


def _unknown(text: str) -> MeshClientError:
    return MeshClientError(
        f"'{text}' is no channel: it must be INSTRUMENT:KIND such as BTCUSDT.BINANCE:quotes "
        f"(kinds: {', '.join(_KINDS)}), or a bar type such as "
        "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL.",
        code="INVALID_ARGUMENT",
        reason="CHANNEL_INVALID",
    )
