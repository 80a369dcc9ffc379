"""Entries of the log as parts of a response, made once and shared by the watchers."""

from mesh.marketdata.v1 import live_pb2 as pb
from services.market_data.live import columns, convert, wire
from services.market_data.live.feed import LiveFeed
from services.market_data.live.log import Entry, LiveChannel


def head(entry: Entry, payload: bytes) -> bytes:
    """Return what stands before a batch's payload in a response."""
    if entry.framed is None:
        entry.framed = wire.batch_head(len(payload))
    return entry.framed


def objects(live: LiveFeed, entry: Entry, payload: bytes) -> bytes:
    """Return the rows of a batch as updates; the newest batches keep them for other watchers."""
    if entry.objects is None:
        entry.objects = columns.items(pb.MarketDataBatch.FromString(payload))
        if len(live.shown) == live.shown.maxlen:
            live.shown[0].objects = None
        live.shown.append(entry)
    return entry.objects


def latest(entry: Entry | None) -> bytes:
    """Return the last row of a batch as an update; empty without a batch."""
    if entry is None or entry.payload is None:
        return b""
    if entry.latest is None:
        batch = pb.MarketDataBatch.FromString(entry.payload)
        entry.latest = columns.updates(batch, only_last=True)[0].SerializeToString()
    return entry.latest


def update(payload: bytes) -> pb.MarketDataUpdate:
    """Return an update."""
    return pb.MarketDataUpdate.FromString(payload)


def cut(payload: bytes, levels: int) -> bytes:
    """Return a book with no more than so many levels."""
    message = update(payload)
    del message.order_book.bids[levels:]
    del message.order_book.asks[levels:]
    return message.SerializeToString()


def snapshot(live: LiveChannel, payload: bytes) -> pb.MarketDataSnapshot:
    """Return the snapshot of a channel with a value, or without one when it is empty."""
    message = pb.MarketDataSnapshot(item=convert.item(live.channel, live))
    if payload:
        message.latest.MergeFromString(payload)
    return message
