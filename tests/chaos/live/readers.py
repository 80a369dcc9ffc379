"""Clients that watch and keep account of what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from chaos.live.ledger import Told, conflated_faults, lossless_faults
from mesh.marketdata.v1 import live_pb2 as pb
from meshclient.batches import Batch
from meshclient.channels import channel_text
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshclient.watching import LiveItem, Watch
from running_mesh import RunningMesh
from simulators.binance.symbols import SPOT, symbols

LISTED = {each.name: each for each in symbols(1_000) if each.market == SPOT}


class Reader:
    """One client with one watch of one subscription."""

    def __init__(self, mesh: MeshClient, made: pb.Subscription, *, columns: bool = False) -> None:
        self.mesh, self.made, self.columns = mesh, made, columns
        self.lossless = made.delivery == pb.DELIVERY_LOSSLESS
        self.told = {channel_text(item.channel): Told() for item in made.items}
        self.states = {channel_text(item.channel): item for item in made.items}
        self.breaks: list[MeshClientError] = []
        self.cursor = ""
        self.reads = asyncio.Event()
        """Cleared it reads nothing more, as a client that has stopped."""
        self.reads.set()
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch, from where it was before if it was stopped."""
        self._watch = self.mesh.market_data.watch(
            self.made.subscription_id,
            columns=self.columns,
            cursor=self.cursor,
            broken=self.breaks.append,
        )
        self._task = asyncio.create_task(self._read(self._watch))

    async def stop(self) -> None:
        """End the watch; what went wrong in it is raised."""
        assert self._task is not None
        assert self._watch is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._watch.close()
        self.cursor = self._watch.cursor

    async def _read(self, watch: Watch) -> None:
        async for item in watch:
            self.take(item)
            await self.reads.wait()

    def take(self, item: LiveItem) -> None:
        """Write down what came."""
        if isinstance(item, Batch):
            self.told[channel_text(item.channel)].rows(_of_batch(item))
        elif isinstance(item, pb.MarketDataUpdate):
            self.told[channel_text(item.channel)].rows([_of_update(item)])
        elif isinstance(item, pb.MarketDataSnapshot):
            latest = _of_update(item.latest) if item.HasField("latest") else None
            self.told[channel_text(item.item.channel)].snapshot(latest)
            self.states[channel_text(item.item.channel)] = item.item
        elif isinstance(item, pb.FeedGap):
            cause = pb.GapCause.Name(item.cause).removeprefix("GAP_CAUSE_")
            whole = not item.HasField("channel")
            for name in self.told if whole else [channel_text(item.channel)]:
                self.told[name].gap(cause)
        else:
            self.states[channel_text(item.channel)] = item

    def has(self, numbers: dict[str, int]) -> bool:
        """Whether of each of its channels something came that is as new as these numbers say."""
        if self._task is not None and self._task.done():
            self._task.result()  # raises what ended it
        return all(told.newest >= numbers.get(name, 0) for name, told in self.told.items())

    def causes(self) -> set[str]:
        """Causes of all gaps that it was told."""
        return {cause for told in self.told.values() for cause in told.causes}

    def faults(self, last: dict[str, int]) -> list[str]:
        """Return what is not as promised, given what the venue sent last."""
        check = lossless_faults if self.lossless else conflated_faults
        return [
            f"{name}: {fault}"
            for name, told in self.told.items()
            for fault in check(told, last.get(name, 0))
        ]


def _of_batch(batch: Batch) -> list[int]:
    if batch.kind == "trades":
        return [int(text) for text in batch.column("trade_id").to_pylist()]
    symbol = LISTED[batch.channel.instrument_id.partition(".")[0]]
    units = 10 ** (symbol.size_places - (batch.precision("bid_size") or 0))
    numbers: list[int] = (batch.column("bid_size").to_numpy() * units // symbol.lot).tolist()
    return numbers


def _of_update(update: pb.MarketDataUpdate) -> int:
    if update.HasField("trade"):
        return int(update.trade.trade_id)
    return LISTED[update.channel.instrument_id.partition(".")[0]].lots(update.quote.bid_size)


@asynccontextmanager
async def clients(mesh: RunningMesh, count: int) -> AsyncIterator[list[MeshClient]]:
    """Give clients with a connection each."""
    made = [MeshClient.from_profile(env=mesh.env) for _ in range(count)]
    try:
        yield made
    finally:
        await asyncio.gather(*(each.close() for each in made))


@asynccontextmanager
async def reading(readers: Sequence[Reader]) -> AsyncIterator[None]:
    """Let readers watch while the block lasts."""
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        await asyncio.gather(*(reader.stop() for reader in readers))


async def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


async def all_have(
    readers: Sequence[Reader], numbers: dict[str, int], what: str, seconds: float = 90.0
) -> None:
    """Wait until each reader has something as new as these numbers of each channel."""
    await until(lambda: all(reader.has(numbers) for reader in readers), what, seconds)


def no_faults(readers: Sequence[Reader], last: dict[str, int]) -> None:
    """Raise when a reader was told anything else than it was promised."""
    found = [(at, fault) for at, each in enumerate(readers) for fault in each.faults(last)]
    assert not found, f"{len(found)} faults, the first: {found[:5]}"
