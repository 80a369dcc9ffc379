"""What the service and the process of a feed say to each other, over one socket pair.

A frame is four bytes of length (little-endian, of what follows) and a msgpack-encoded struct. The
service sends commands; the process sends what happened, in one order, which is the order of its
batches. An answer to a command carries the command's ``id``.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

LONGEST = 64 * 2**20
"""Bytes of the longest frame."""


class Frame(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all frames."""


# ---- commands, from the service -----------------------------------------------------------------


class Open(Frame, frozen=True):
    """Open a channel. ``channel`` is the service's number for it in this life of the process.

    Answered by ``ItemStatus`` frames: LIVE once the venue took it, or FAILED with a reason.
    """

    channel: int
    kind: str
    instrument_id: str
    bar_type: str = ""


class Close(Frame, frozen=True):
    """Close a channel: no batch of it comes after the ``Closed`` that answers."""

    channel: int


class AskSnapshot(Frame, frozen=True):
    """Ask for the newest value of a channel; answered by ``Snapshot`` in the order of batches."""

    id: int
    channel: int
    levels: int = 25


class AskBook(Frame, frozen=True):
    """Ask for an order book; answered by ``Answer`` with a ``GetOrderBookResponse``."""

    id: int
    instrument_id: str
    levels: int


class AskPrices(Frame, frozen=True):
    """Ask what a trade would meet; answered by ``Answer`` with a ``GetBookPricesResponse``."""

    id: int
    instrument_id: str
    side: str
    quantity: str
    price: str


class AskInstruments(Frame, frozen=True):
    """Ask for instruments above ``after`` by id; answered by ``Instruments``."""

    id: int
    text: str
    after: str
    limit: int


class AskInstrument(Frame, frozen=True):
    """Ask for one instrument; answered by ``Instruments`` with it or with none."""

    id: int
    instrument_id: str


class AskHistory(Frame, frozen=True):
    """Ask the venue for history of a closed range (unix ns); answered by ``HistoryRows`` frames,
    in the order of time, then ``Answer``. ``limit`` 0: as much as the venue gives at once.
    """

    id: int
    kind: str
    instrument_id: str
    bar_type: str
    start: int
    end: int
    limit: int = 0


class Control(Frame, frozen=True):
    """Control a replay: ``pause``, ``resume``, ``seek`` (``position``, unix ns) or ``speed``.

    Answered by ``Answer``, and told by ``ReplayPosition``.
    """

    id: int
    action: str
    position: int = 0
    speed: float = 0.0


class Reconnect(Frame, frozen=True):
    """Make the connection to the venue anew: it is silent, or an operator wants it."""

    cause: str


class Stop(Frame, frozen=True):
    """Disconnect and end."""


# ---- what the process tells ---------------------------------------------------------------------


class State(Frame, frozen=True):
    """The connection's state: CONNECTING, CONNECTED, DISCONNECTED or FAILED, as ``FeedState``.

    ``reason`` is an ErrorReason without its prefix. CONNECTED after DISCONNECTED is a reconnect:
    a ``Gap`` frame comes before the first batch after it.
    """

    state: str
    reason: str = ""
    message: str = ""


class ItemStatus(Frame, frozen=True):
    """A channel's state as ``ItemState``: PENDING, LIVE, STALE or FAILED."""

    channel: int
    state: str
    reason: str = ""
    message: str = ""


class Batch(Frame, frozen=True):
    """Rows of a channel. ``payload`` is a serialized ``MarketDataBatch`` with its ``sequence``."""

    channel: int
    sequence: int
    rows: int
    first: int
    """``ts_init`` of the first row, unix ns."""
    last: int
    """``ts_init`` of the last row."""
    payload: bytes


class Gap(Frame, frozen=True):
    """Data may be missing here; ``channel`` -1 means every channel.

    ``cause`` as ``GapCause``; times (unix ns) are 0 when not known.
    """

    channel: int
    cause: str
    start: int = 0
    end: int = 0
    message: str = ""


class Snapshot(Frame, frozen=True):
    """The newest value of a channel after the batches sent so far.

    ``payload`` is a serialized ``MarketDataUpdate``; empty when there is none yet.
    """

    id: int
    channel: int
    sequence: int
    payload: bytes


class Closed(Frame, frozen=True):
    """No batch of the channel comes after this."""

    channel: int


class Instruments(Frame, frozen=True):
    """Instruments: serialized ``InstrumentDefinition``. ``more`` says that there are more."""

    id: int
    definitions: list[bytes]
    more: bool = False


class HistoryRows(Frame, frozen=True):
    """Rows that the venue answered: a serialized ``MarketDataBatch`` without sequence."""

    id: int
    rows: int
    first: int
    last: int
    payload: bytes


class Answer(Frame, frozen=True):
    """The end of a command: a reply, or the reason (ErrorReason without prefix) why not."""

    id: int
    payload: bytes = b""
    reason: str = ""
    message: str = ""
    retry_after: float = 0.0


class ReplayPosition(Frame, frozen=True):
    """Where a replay is (unix ns): told when it changes by command, and at most once a second."""

    position: int
    start: int
    end: int
    speed: float
    paused: bool
    ended: bool


class Pulse(Frame, frozen=True):
    """A sign of life, each second: CPU seconds of the process, and rows received of the venue."""

    cpu: float
    rows: int


Command = (
    Open
    | Close
    | AskSnapshot
    | AskBook
    | AskPrices
    | AskInstruments
    | AskInstrument
    | AskHistory
    | Control
    | Reconnect
    | Stop
)
Told = (
    State
    | ItemStatus
    | Batch
    | Gap
    | Snapshot
    | Closed
    | Instruments
    | HistoryRows
    | Answer
    | ReplayPosition
    | Pulse
)

_encoder = msgspec.msgpack.Encoder()
commands = msgspec.msgpack.Decoder(Command)
told = msgspec.msgpack.Decoder(Told)


def encode(frame: Frame) -> bytes:
    """Return a frame with its length before it."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(4, "little") + body


async def read[F](
    reader: asyncio.StreamReader, decoder: "msgspec.msgpack.Decoder[F]"
) -> AsyncIterator[F]:
    """Yield frames to the end of the stream; a cut frame at its end is dropped."""
    while True:
        try:
            size = int.from_bytes(await reader.readexactly(4), "little")
            if size > LONGEST:
                raise ValueError(f"a frame of {size} bytes")
            body = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        yield decoder.decode(body)
