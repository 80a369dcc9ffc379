"""A market-data service that says what a script tells it, over real gRPC."""

import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1 import market_data_service_pb2_grpc as stubs
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_QUOTE_TICK
from meshclient.connection import Connection, open_channel
from meshclient.market_data import MarketData
from meshclient.tokens import Token, TokenKeeper

EURUSD = pb.Channel(kind=DATA_KIND_QUOTE_TICK, instrument_id="EUR/USD.SIM")
ID = "11111111-1111-4111-8111-111111111111"

_Base: Any = stubs.MarketDataServiceServicer  # its stub is abstract; one method is enough here


class Service(_Base):
    """Answers each watch with the next entry of ``script``: messages, then a code or an end."""

    def __init__(self) -> None:
        self.script: list[Sequence[Any]] = []
        self.cursors: list[str] = []

    async def WatchMarketData(self, request: Any, context: Any) -> Any:  # noqa: N802 # the contract's
        """Send the messages of the next entry."""
        self.cursors.append(request.after_cursor)
        for each in self.script.pop(0):
            match each:
                case (code, text):
                    await context.abort(code, text)
                case message:
                    yield message


async def serve() -> AsyncIterator[tuple[Service, MarketData]]:
    """Give a service on a free port and the calls to it."""
    server, service = grpc.aio.server(), Service()
    stubs.add_MarketDataServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = open_channel(f"127.0.0.1:{port}", "mesh.marketdata.v1.MarketDataService")

    async def exchange() -> Token:
        return Token("token", expires_at=2e12)

    yield service, MarketData(Connection(TokenKeeper(exchange)), channel, "")
    await channel.close()
    await server.stop(None)


def item(state: pb.ItemState.ValueType, **more: Any) -> pb.SubscriptionItem:
    """Return the item of the quotes."""
    return pb.SubscriptionItem(channel=EURUSD, state=state, **more)


def quote(bid: str, ask: str, second: int = 0) -> pb.MarketDataUpdate:
    """Return a quote of a second of 1970."""
    update = pb.MarketDataUpdate(
        channel=EURUSD, quote=pb.QuoteTick(bid_price=bid, ask_price=ask, bid_size="1", ask_size="2")
    )
    update.event_time.FromSeconds(second)
    update.init_time.FromSeconds(second)
    return update


def message(cursor: str, *items: Any) -> rpc.WatchMarketDataResponse:
    """Return a message with items: updates, snapshots, gaps, states, batches."""
    names = {
        pb.MarketDataUpdate: "update",
        pb.MarketDataSnapshot: "snapshot",
        pb.FeedGap: "gap",
        pb.SubscriptionItem: "status",
        pb.MarketDataBatch: "batch",
    }
    held = [rpc.WatchMarketDataItem(**{names[type(each)]: each}) for each in items]
    return rpc.WatchMarketDataResponse(items=held, cursor=cursor, checkpoint=not items)


def int64s(*values: int) -> bytes:
    """Return a column of 8 bytes a row."""
    return struct.pack(f"<{len(values)}q", *values)


def wide(*values: int) -> bytes:
    """Return a column of 16 bytes a row."""
    return b"".join(value.to_bytes(16, "little", signed=True) for value in values)


def quotes(*prices: tuple[int, int]) -> pb.MarketDataBatch:
    """Return a batch of quotes with five decimals."""
    bids, asks = zip(*prices, strict=True)
    times = int64s(*range(1, len(prices) + 1))
    sizes = int64s(*[1] * len(prices))
    return pb.MarketDataBatch(
        channel=EURUSD,
        sequence=7,
        rows=len(prices),
        price_precision=5,
        ts_event=times,
        ts_init=times,
        quotes=pb.QuoteColumns(
            bid_price=int64s(*bids), ask_price=int64s(*asks), bid_size=sizes, ask_size=sizes
        ),
    )
