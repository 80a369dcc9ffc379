"""A market-data service of the tests' own, whose feeds are processes that tests script."""

import asyncio
import json
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from integration.issuer import Signer
from mesh.marketdata.v1 import feed_service_pb2 as feed_rpc
from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1 import market_data_service_pb2 as rpc
from mesh.marketdata.v1 import marketdata_pb2
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from mesh.marketdata.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from meshkit.channel import channel
from meshkit.database import Database
from meshkit.publisher import Publisher
from meshkit.redis_client import open_redis
from meshkit.server import MeshServer
from meshkit.watch import WatchHub
from services.market_data import events
from services.market_data.config import Config
from services.market_data.live.hub import LiveHub
from services.market_data.live.ports import FeedSpec, Starter
from services.market_data.live.serving import FEEDS, MARKET_DATA
from services.market_data.live.settings import Settings
from services.market_data.live.venues import Venues
from services.market_data.main import HISTORY, INSTRUMENTS, MIGRATIONS, add_live, add_services

SCRIPT = Path(__file__).parent / "scripted_feed.py"
SECONDS = 30.0
"""Bound of every wait."""

QUICK = Settings(back_off=0.05, longest_back_off=0.2, hang=3.0, idle=0.5, patience=10.0)
KINDS = {"quotes": "QUOTE_TICK", "bars": "BAR", "books": "ORDER_BOOK_DELTA"}


def new_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4())


async def until(condition: Callable[[], Awaitable[Any] | Any], what: str = "") -> Any:
    """Wait until a condition holds, and return what it gave."""
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                found = condition()
                found = await found if asyncio.iscoroutine(found) else found
                if found:
                    return found
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never came: {what or condition}") from None


def quotes(*names: str) -> list[pb.Channel]:
    """Return channels of quotes."""
    kind = marketdata_pb2.DATA_KIND_QUOTE_TICK
    return [pb.Channel(kind=kind, instrument_id=name) for name in names]


def books(*names: str) -> list[pb.Channel]:
    """Return channels of book deltas."""
    kind = marketdata_pb2.DATA_KIND_ORDER_BOOK_DELTA
    return [pb.Channel(kind=kind, instrument_id=name) for name in names]


def bars(*bar_types: str) -> list[pb.Channel]:
    """Return channels of bars."""
    kind = marketdata_pb2.DATA_KIND_BAR
    return [pb.Channel(kind=kind, bar_type=name) for name in bar_types]


class Script:
    """The test's end of a feed's process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.pid = 0

    async def do(self, what: str, **more: Any) -> dict[str, Any]:
        """Have the process do something; returns when its frames are written."""
        self._writer.write(json.dumps({"do": what, **more}).encode() + b"\n")
        line = await asyncio.wait_for(self._reader.readline(), SECONDS)
        return json.loads(line) if line else {}

    async def play(self, *names: str, rows: int = 1, **more: Any) -> None:
        """Have it send batches of channels."""
        await self.do("play", names=list(names), rows=rows, **more)


class Venue:
    """Where the processes of feeds report; ``scripts`` are all that ever came."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.scripts: list[Script] = []

    async def __aenter__(self) -> "Venue":
        self._server = await asyncio.start_unix_server(self._came, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = Script(reader, writer)
        script.pid = json.loads(await reader.readline())["pid"]
        self.scripts.append(script)

    async def script(self, number: int = 1) -> Script:
        """Return the process that was started as the so-manieth."""
        await until(lambda: len(self.scripts) >= number, f"process {number}")
        return self.scripts[number - 1]


async def start_scripted(
    spec: FeedSpec,
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    """Start a scripted process in place of a feed's."""
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        str(theirs.fileno()),
        spec.config_json,
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=2**20)
    return process, reader, writer


class AnyVenue(Venues):
    """Takes every venue whose config is an object; the real one has tests of its own."""

    async def check(self, venue: str, config_json: str) -> dict[str, Any]:
        """Return the config."""
        return dict(json.loads(config_json))


@dataclass
class Live:
    """A serving service, and stubs of a caller who may do everything."""

    config: Config
    signer: Signer
    venue: Venue
    hub: LiveHub
    feeds: Any
    data: Any
    server: MeshServer
    stack: AsyncExitStack

    async def feed(self, feed_id: str = "sim", venue: str = "SIM", **config: Any) -> pb.Feed:
        """Create a feed."""
        config_json = json.dumps({"control": self.venue.path, **config})
        request = feed_rpc.CreateFeedRequest(
            request_id=new_id(), feed_id=feed_id, venue=venue, config_json=config_json
        )
        made: pb.Feed = (await self.feeds.CreateFeed(request)).feed
        return made

    async def subscribe(
        self,
        channels: Sequence[pb.Channel],
        *,
        feed_id: str = "sim",
        lossless: bool = True,
        wait: bool = True,
        **more: Any,
    ) -> str:
        """Create a subscription; returns its id when no item is PENDING any more."""
        request = rpc.CreateSubscriptionRequest(
            request_id=new_id(), feed_id=feed_id, channels=channels, **more
        )
        request.delivery = pb.DELIVERY_LOSSLESS if lossless else pb.DELIVERY_CONFLATED
        made = (await self.data.CreateSubscription(request)).subscription
        if wait:
            await until(lambda: self._settled(made.subscription_id), "items that are settled")
        return str(made.subscription_id)

    async def _settled(self, subscription_id: str) -> bool:
        items = (await self.get(subscription_id)).items
        return all(item.state != pb.ITEM_STATE_PENDING for item in items)

    async def get(self, subscription_id: str) -> pb.Subscription:
        """Return a subscription."""
        request = rpc.GetSubscriptionRequest(subscription_id=subscription_id)
        found: pb.Subscription = (await self.data.GetSubscription(request)).subscription
        return found

    async def delete(self, subscription_id: str) -> None:
        """Delete a subscription."""
        await self.data.DeleteSubscription(
            rpc.DeleteSubscriptionRequest(request_id=new_id(), subscription_id=subscription_id)
        )

    async def get_feed(self, feed_id: str = "sim") -> pb.Feed:
        """Return a feed."""
        found: pb.Feed = (await self.feeds.GetFeed(feed_rpc.GetFeedRequest(feed_id=feed_id))).feed
        return found

    def watch(self, *ids: str, columns: bool = False, stub: Any = None, **more: Any) -> "Reading":
        """Watch subscriptions."""
        request = rpc.WatchMarketDataRequest(subscription_ids=ids, **more)
        if columns:
            request.format = rpc.DATA_FORMAT_COLUMNS
        return Reading((stub or self.data).WatchMarketData(request))

    async def stubs(self, *scopes: str, **claims: Any) -> tuple[Any, Any]:
        """Return stubs of another caller: of feeds, and of data."""
        token = self.signer.token(*(scopes or ("data.read", "data.write")), **claims)
        to = await self.stack.enter_async_context(
            channel(self.config.listen, FEEDS, MARKET_DATA, token=token)
        )
        return FeedServiceStub(to), MarketDataServiceStub(to)


class Reading:
    """A stream being read: what came, in order."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.items: list[rpc.WatchMarketDataItem] = []
        self.messages: list[rpc.WatchMarketDataResponse] = []

    @property
    def cursor(self) -> str:
        """The cursor of the last message."""
        return self.messages[-1].cursor if self.messages else ""

    async def message(self) -> rpc.WatchMarketDataResponse:
        """Read one message."""
        message = await asyncio.wait_for(self.call.read(), SECONDS)
        assert isinstance(message, rpc.WatchMarketDataResponse), await self.call.code()
        self.messages.append(message)
        self.items += message.items
        return message

    async def until(self, condition: Callable[["Reading"], Any]) -> None:
        """Read on until a condition holds."""
        while not condition(self):
            await self.message()

    async def rows(self, count: int) -> list[int]:
        """Read until so many rows have come; returns their numbers."""
        await self.until(lambda r: len(r.numbers()) >= count)
        return self.numbers()

    def numbers(self, name: str = "") -> list[int]:
        """Return the numbers of the rows that came, of one channel or of all."""
        found: list[int] = []
        for item in self.items:
            found += _numbers(item, name)
        return found

    def snapshots(self, name: str = "") -> list[pb.MarketDataSnapshot]:
        """Return the snapshots that came, of one channel or of all."""
        found = [item.snapshot for item in self.items if item.HasField("snapshot")]
        return [s for s in found if name in {"", name_of(s.item.channel)}]

    def gaps(self) -> list[str]:
        """Return the causes of the gaps that came."""
        found = [item.gap.cause for item in self.items if item.HasField("gap")]
        return [pb.GapCause.Name(cause).removeprefix("GAP_CAUSE_") for cause in found]

    def order(self) -> list[str]:
        """Return what came, in order, without states: `snapshot`, `gap` and numbers of rows."""
        made: list[str] = []
        for item in self.items:
            kind = item.WhichOneof("item") or ""
            if kind in {"snapshot", "gap"}:
                made.append(kind)
            made += [str(number) for number in _numbers(item, "")]
        return made


def name_of(channel: pb.Channel) -> str:
    """Return the bar type, or the instrument id."""
    return channel.bar_type or channel.instrument_id


def number_of(update: pb.MarketDataUpdate) -> int:
    """Return the number of a row: its price in hundredths."""
    price = {
        "quote": update.quote.bid_price,
        "bar": update.bar.close,
        "delta": update.delta.price,
        "order_book": update.order_book.bids[0].price if update.order_book.bids else "0",
    }[update.WhichOneof("data") or ""]
    return round(float(price) * 100)


def _numbers(item: rpc.WatchMarketDataItem, name: str) -> list[int]:
    if item.HasField("update") and name in {"", name_of(item.update.channel)}:
        return [number_of(item.update)]
    if item.HasField("batch") and name in {"", name_of(item.batch.channel)}:
        batch = item.batch
        column = batch.quotes.bid_price or batch.bars.close or batch.deltas.price
        return [
            int.from_bytes(column[i : i + 8], "little", signed=True)
            for i in range(0, len(column), 8)
        ]
    return []


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    """Give the place where processes of feeds report."""
    async with Venue(f"{tmp_path}/venue.sock") as made:
        yield made


Open = Callable[..., Awaitable[Live]]


@pytest.fixture
async def open_live(
    database_url: str, redis_url: str, tmp_path: Path, venue: Venue
) -> AsyncIterator[Open]:
    """Give a function that starts a service: each is another life of the same one."""
    signer = Signer()
    async with AsyncExitStack() as lives:

        async def open_one(
            settings: Settings = QUICK,
            venues: Venues | None = None,
            start: Starter = start_scripted,
            **more: Any,
        ) -> Live:
            config = Config(
                listen=f"unix:{tmp_path}/m.sock",
                http_listen="",
                database_url=database_url,
                redis_url=redis_url,
                jwks_url="",
                catalog=tmp_path / "catalog",
                uploads=tmp_path / "uploads",
                max_upload=2**24,
                imports=1,
                live=settings,
                logs=tmp_path,
            )
            stack = await lives.enter_async_context(AsyncExitStack())
            config = replace(config, **more)
            return await _open(stack, config, signer, venue, venues or AnyVenue(), start)

        yield open_one


async def _open(
    stack: AsyncExitStack,
    config: Config,
    signer: Signer,
    venue: Venue,
    venues: Venues,
    start: Starter,
) -> Live:
    database = await stack.enter_async_context(
        Database.open(config.database_url, schema="market_data", migrations=MIGRATIONS)
    )
    client = await stack.enter_async_context(open_redis(config.redis_url))
    await stack.enter_async_context(Publisher(database, client))
    server = await stack.enter_async_context(
        MeshServer(name="market-data", listen=config.listen, keys=signer, grace=1.0)
    )
    watches = await stack.enter_async_context(
        WatchHub(database, client, [events.FACTS], draining=server.draining)
    )
    finder = await add_services(stack, server, database, watches, config)
    hub = await add_live(stack, server, database, client, watches, config, finder, venues, start)
    await server.start(HISTORY, INSTRUMENTS, FEEDS, MARKET_DATA)
    to = await stack.enter_async_context(
        channel(config.listen, FEEDS, MARKET_DATA, token=signer.token("data.read", "data.write"))
    )
    feeds, data = FeedServiceStub(to), MarketDataServiceStub(to)
    return Live(config, signer, venue, hub, feeds, data, server, stack)


@pytest.fixture
async def live(open_live: Open) -> Live:
    """Give a serving market-data service."""
    return await open_live()
