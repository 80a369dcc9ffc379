"""Live quotes as each door sees them, beside the stored ones that are played."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.client import MeshClient
from meshclient.data import selection
from running_mesh import RunningMesh

FEED, INSTRUMENT = "sample-replay", "EUR/USD.SIM"
Quote = tuple[int, Decimal, Decimal, Decimal, Decimal]
"""Time of the event in unix nanoseconds, bid and ask price, bid and ask size."""


def quote(update: pb.MarketDataUpdate) -> Quote:
    """Return a quote as figures."""
    q = update.quote
    figures = (q.bid_price, q.ask_price, q.bid_size, q.ask_size)
    return (update.event_time.ToNanoseconds(), *map(Decimal, figures))  # type: ignore[return-value] # four of them


async def by_python(mesh: RunningMesh, count: int) -> list[Quote]:
    """Return quotes that the Python client sees live."""
    seen: list[Quote] = []
    async with MeshClient.from_profile(env=mesh.env) as client:
        made = await client.market_data.subscribe(FEED, f"{INSTRUMENT}:quotes", lossless=True)
        async with client.market_data.watch(made.subscription_id) as watch:
            async for item in watch:
                if isinstance(item, pb.MarketDataUpdate):
                    seen.append(quote(item))
                if len(seen) >= count:
                    break
        await client.market_data.delete(made.subscription_id)
    return seen


async def stored(mesh: RunningMesh) -> list[Quote]:
    """Return the stored quotes that are played, in their order."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        table = await client.data.read(selection(INSTRUMENT, "quotes"))
    times = table["ts_event"].cast("int64").to_pylist()
    names = ("bid_price", "ask_price", "bid_size", "ask_size")
    return list(zip(times, *(table[name].to_pylist() for name in names), strict=True))


def is_stretch(seen: Sequence[Quote], played: Iterable[Quote]) -> bool:
    """Whether what was seen is a stretch of what was played: nothing missing, nothing twice."""
    rows = list(played)
    start = rows.index(seen[0])
    return list(seen) == rows[start : start + len(seen)]
