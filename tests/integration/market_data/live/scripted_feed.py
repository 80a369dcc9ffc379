"""A real process that speaks frames as a feed's does, and plays what a test tells it to.

It connects to the test by the Unix socket ``control`` of its config. Each line of the test is a
JSON object with ``do``; each is answered by a line once its frames are written.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from itertools import count
from typing import Any

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1 import marketdata_pb2
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshkit.times import to_timestamp
from services.market_data.live import frames

UNKNOWN = "UNKNOWN"
"""Instruments of this name are refused."""


def packed(*values: int, size: int = 8, signed: bool = True) -> bytes:
    """Return integers as a column."""
    return b"".join(v.to_bytes(size, "little", signed=signed) for v in values)


def quotes(channel: pb.Channel, sequence: int, ids: range, first: int, step: int) -> bytes:
    """Return a batch of quotes whose bid price is their number in hundredths."""
    rows, flat = list(ids), len(ids)
    times = packed(*(first + i * step for i in range(flat)), signed=False)
    return pb.MarketDataBatch(
        channel=channel,
        sequence=sequence,
        rows=flat,
        price_precision=2,
        size_precision=0,
        ts_event=times,
        ts_init=times,
        quotes=pb.QuoteColumns(
            bid_price=packed(*rows),
            ask_price=packed(*(r + 1 for r in rows)),
            bid_size=packed(*([1] * flat)),
            ask_size=packed(*([2] * flat)),
        ),
    ).SerializeToString()


def bars(channel: pb.Channel, sequence: int, ids: range, first: int, step: int) -> bytes:
    """Return a batch of bars whose close is their number in hundredths."""
    rows, flat = list(ids), len(ids)
    times = packed(*(first + i * step for i in range(flat)), signed=False)
    columns = {name: packed(*rows) for name in ("open", "high", "low", "close")}
    return pb.MarketDataBatch(
        channel=channel,
        sequence=sequence,
        rows=flat,
        price_precision=2,
        ts_event=times,
        ts_init=times,
        bars=pb.BarColumns(**columns, volume=packed(*([1] * flat))),
    ).SerializeToString()


def deltas(channel: pb.Channel, sequence: int, ids: range, first: int, step: int) -> bytes:
    """Return a batch of added bids whose price is their number in hundredths."""
    rows, flat = list(ids), len(ids)
    times = packed(*(first + i * step for i in range(flat)), signed=False)
    return pb.MarketDataBatch(
        channel=channel,
        sequence=sequence,
        rows=flat,
        price_precision=2,
        ts_event=times,
        ts_init=times,
        deltas=pb.DeltaColumns(
            action=bytes([1] * flat),
            side=bytes([1] * flat),
            price=packed(*rows),
            size=packed(*([1] * flat)),
            order_id=packed(*rows, signed=False),
            flags=bytes([128] * flat),
            sequence=packed(*rows, signed=False),
        ),
    ).SerializeToString()


MAKERS = {"QUOTE_TICK": quotes, "BAR": bars, "ORDER_BOOK_DELTA": deltas}


class Feed:
    """Plays; ``config`` says whether it connects by itself."""

    def __init__(self, config: dict[str, Any], out: asyncio.StreamWriter) -> None:
        self._config, self._out = config, out
        self._open: dict[int, frames.Open] = {}
        self._sequence = count(1)
        self._next: dict[str, int] = {}
        self._book: dict[str, list[int]] = {}
        self._paused, self._speed, self._position = False, 1.0, 0
        self._pulses = True

    def tell(self, frame: frames.Frame) -> None:
        """Send a frame."""
        self._out.write(frames.encode(frame))

    # ---- what the service wants ------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Follow commands to the end."""
        if self._config.get("connect", True):
            self.tell(frames.State("CONNECTED"))
        async for command in frames.read(reader, frames.commands):
            if isinstance(command, frames.Stop):
                break
            self._follow(command)
        await self._out.drain()
        os._exit(0)

    def _follow(self, command: frames.Command) -> None:
        match command:
            case frames.Open():
                self._opened(command)
            case frames.Close():
                self._open.pop(command.channel, None)
                self.tell(frames.Closed(command.channel))
            case frames.AskSnapshot():
                self._snapshot(command)
            case frames.AskBook():
                book = rpc.GetOrderBookResponse(order_book=self._levels(command.instrument_id, 5))
                self.tell(frames.Answer(command.id, book.SerializeToString()))
            case frames.AskPrices():
                prices = rpc.GetBookPricesResponse(fillable_quantity=command.quantity)
                self.tell(frames.Answer(command.id, prices.SerializeToString()))
            case frames.AskInstruments():
                self._instruments(command)
            case frames.AskInstrument():
                found = [] if UNKNOWN in command.instrument_id else [_named(command.instrument_id)]
                self.tell(frames.Instruments(command.id, found))
            case frames.Control():
                self._control(command)

    def _opened(self, command: frames.Open) -> None:
        if UNKNOWN in command.instrument_id:
            text = f"There is no {command.instrument_id}."
            self.tell(frames.ItemStatus(command.channel, "FAILED", "INSTRUMENT_NOT_AT_VENUE", text))
            return
        self._open[command.channel] = command
        self.tell(frames.ItemStatus(command.channel, "LIVE"))

    def _levels(self, instrument_id: str, levels: int) -> pb.OrderBook:
        rows = sorted(self._book.get(instrument_id, []), reverse=True)[:levels]
        return pb.OrderBook(
            bids=[pb.BookLevel(price=f"{row // 100}.{row % 100:02d}", size="1") for row in rows],
            sequence=rows[0] if rows else 0,
        )

    def _snapshot(self, command: frames.AskSnapshot) -> None:
        opened = self._open.get(command.channel)
        payload = b""
        if opened is not None and self._book.get(opened.instrument_id):
            payload = pb.MarketDataUpdate(
                channel=_channel(opened),
                init_time=to_timestamp(time.time_ns()),
                order_book=self._levels(opened.instrument_id, command.levels),
            ).SerializeToString()
        self.tell(frames.Snapshot(command.id, command.channel, 0, payload))

    def _instruments(self, command: frames.AskInstruments) -> None:
        names = [f"S{i:03d}.SIM" for i in range(120)]
        names = [n for n in names if command.text.upper() in n and n > command.after]
        found = [_named(name) for name in names[: command.limit]]
        self.tell(frames.Instruments(command.id, found, len(names) > command.limit))

    def _control(self, command: frames.Control) -> None:
        if command.action == "seek" and command.position > 10**18:
            self.tell(frames.Answer(command.id, b"", "INVALID_FIELD", "is outside the range"))
            return
        if command.action == "seek":
            self._position = command.position
            self.tell(frames.Gap(-1, "REPLAY_SOUGHT", 0, command.position))
        if command.action == "speed":
            self._speed = command.speed
        self._paused = {"pause": True, "resume": False}.get(command.action, self._paused)
        self._tell_position()
        self.tell(frames.Answer(command.id))

    def _tell_position(self) -> None:
        self.tell(
            frames.ReplayPosition(self._position, 0, 10**18, self._speed, self._paused, False)
        )

    # ---- what the test wants -----------------------------------------------------------------

    async def control(self, path: str) -> None:
        """Follow the test's lines."""
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(json.dumps({"pid": os.getpid(), "config": self._config}).encode() + b"\n")
        while line := await reader.readline():
            answer = await self._do(json.loads(line))
            await self._out.drain()
            writer.write(json.dumps(answer).encode() + b"\n")

    async def _do(self, line: dict[str, Any]) -> dict[str, Any]:
        match line.pop("do"):
            case "play":
                return {"rows": await self._play(**line)}
            case "gap":
                names = [n for n, o in self._open.items() if _name(o) == line.get("name")]
                self.tell(frames.Gap(names[0] if names else -1, line["cause"]))
            case "state":
                self.tell(frames.State(line["state"], line.get("reason", ""), line.get("text", "")))
            case "position":
                self._position = line["at"]
                self._tell_position()
            case "hang":
                self._pulses = False
            case "garbage":
                self._out.write(b"\x05\x00\x00\x00hello")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return {"open": sorted(_name(each) for each in self._open.values())}

    async def _play(
        self,
        names: list[str],
        rows: int,
        batches: int = 1,
        kind: str = "",
        pause: float = 0.0,
        start: int | None = None,
    ) -> int:
        """Send batches of rows, numbered on (or from ``start``), of each channel in turn."""
        if start is not None:
            self._next = dict.fromkeys(names, start)
        channels = {_name(o): (n, o) for n, o in self._open.items() if not kind or o.kind == kind}
        for _ in range(batches):
            for name in names:
                self._send(*channels[name], rows)
            await self._out.drain()
            if pause:
                await asyncio.sleep(pause)
        return rows * batches * len(names)

    def _send(self, number: int, opened: frames.Open, rows: int) -> None:
        name = _name(opened)
        start = self._next.get(name, self._config.get("first", 0))
        self._next[name] = start + rows
        ids, now = range(start, start + rows), time.time_ns()
        if opened.kind == "ORDER_BOOK_DELTA":
            self._book.setdefault(opened.instrument_id, []).extend(ids)
        sequence = next(self._sequence)
        payload = MAKERS[opened.kind](_channel(opened), sequence, ids, now, 1)
        self.tell(frames.Batch(number, sequence, rows, now, now + rows - 1, payload))

    async def pulse(self) -> None:
        """Give signs of life."""
        while True:
            if self._pulses:
                self.tell(frames.Pulse(time.process_time(), 0))
            await asyncio.sleep(0.2)


def _name(opened: frames.Open) -> str:
    return opened.bar_type or opened.instrument_id


def _channel(opened: frames.Open) -> pb.Channel:
    kind = marketdata_pb2.DataKind.Value(f"DATA_KIND_{opened.kind}")
    return pb.Channel(kind=kind, instrument_id=opened.instrument_id, bar_type=opened.bar_type)


def _named(instrument_id: str) -> bytes:
    return InstrumentDefinition(instrument_id=instrument_id).SerializeToString()


async def main() -> None:
    """Run the feed on the socket whose number is the first argument."""
    end = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(sys.argv[2])
    reader, writer = await asyncio.open_connection(sock=end)
    feed = Feed(config, writer)
    await asyncio.gather(feed.serve(reader), feed.control(config["control"]), feed.pulse())


if __name__ == "__main__":
    asyncio.run(main())
