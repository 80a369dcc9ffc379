"""Live data of a feed, every tick of it, through restarts of the mesh."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import OrderBookDelta, OrderBookDeltas

from mesh.marketdata.v1 import live_pb2 as pb
from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshclient.batches import Batch
from meshclient.errors import MeshClientError
from meshclient.watching import LiveItem
from meshkit.nautilus.ticks import grouped, objects_of
from meshnautilus import history
from meshnautilus.channels import Channel
from meshnautilus.client import RETRY_S, MeshDataClient
from meshnautilus.seam import Seam
from meshnautilus.snapshots import state_of

TOPIC_GAP = "mesh.data.gap"
"""Where the message bus says each ``FeedGap``: a strategy may subscribe to it."""

TOPIC_STATE = "mesh.data.state"
"""Where the message bus says each ``SubscriptionItem`` whose state is told."""

OPEN_S = 10.0
"""How long (s) a request waits for its channel to be open at the venue."""
FIRST_S = 2.0
"""How long (s) a request waits for the first row of an open channel: then it surely is."""
GRACE_S = 5.0
"""How long (s) live data is held for a strategy that asks for history first, then subscribes."""
TURN_S = 0.001
MOST_LEVELS = 1_000
MOST_TEXT = 64
"""Characters that instruments are looked for by."""


class LiveMeshDataClient(MeshDataClient):
    """One subscription and one watch for all that a node wants of a feed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._wanted: dict[Channel, None] = {}
        self._held: set[Channel] = set()
        self._subscription_id = ""
        self._syncing = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._seen: dict[Channel, int] = {}
        self._seams: dict[Channel, Seam] = {}
        self._states: dict[Channel, int] = {}
        self._told = asyncio.Event()

    async def _connect(self) -> None:
        await self.mesh.feeds.get(self._config.feed_id)
        await self.load()

    async def _disconnect(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if self._subscription_id:
            await self._forget()
        await self.close()

    async def _forget(self) -> None:
        """Delete the subscription; when that fails its idle timeout does."""
        try:
            await asyncio.wait_for(self.mesh.market_data.delete(self._subscription_id), 5)
        except (MeshClientError, TimeoutError) as error:
            self._log.warning(f"The subscription is left to its idle timeout: {error}")

    async def find_instrument(self, instrument_id: str) -> InstrumentDefinition:
        """Return the venue's definition."""
        part = instrument_id[:MOST_TEXT]
        found = await self.mesh.feeds.instruments(self._config.feed_id, text=part)
        for definition in found:
            if definition.instrument_id == instrument_id:
                return definition
        raise MeshClientError(
            f"The venue of feed '{self._config.feed_id}' has no instrument '{instrument_id}'.",
            code="NOT_FOUND",
            reason="INSTRUMENT_NOT_AT_VENUE",
        )

    async def all_instruments(self) -> list[InstrumentDefinition]:
        """Return all that the venue offers."""
        return list(await self.mesh.feeds.instruments(self._config.feed_id))

    # -- channels

    async def want(self, channel: Channel) -> None:
        """Subscribe to a channel; many wanted at once go in one call."""
        self._wanted[channel] = None
        seam = self._seams.get(channel)
        if seam is not None and not seam.readers:
            self._join(channel)
        await self._sync()

    async def unwant(self, channel: Channel) -> None:
        """Unsubscribe from a channel."""
        self._wanted.pop(channel, None)
        self._seen.pop(channel, None)
        await self._sync()

    @asynccontextmanager
    async def seam(self, channel: Channel, request: Any) -> AsyncIterator[Seam]:
        """Have live data of a channel before its history is read, and tell it after that.

        Where nothing has come yet it is held until the answer is told and somebody has subscribed,
        at the latest for a moment after it. What others hear already is not held up for this one.
        """
        if not history.to_now(request):
            yield Seam()
            return
        seam = self._seams.get(channel) or Seam()
        if channel not in self._seen:
            self._seams[channel] = seam
        seam.readers += 1
        try:
            await self._sync()
            await self._open(channel)
            if channel in self._seams:
                await self._flowing(seam)
            yield seam
            await self._answered(request)
        finally:
            seam.readers -= 1
            if self._seams.get(channel) is seam and not seam.readers:
                if channel in self._wanted:
                    self._join(channel)
                else:
                    self.create_task(self._let_go(channel, seam), log_msg="let go")

    async def _open(self, channel: Channel) -> None:
        """Wait until a channel is open at the venue: what comes from then on is held."""
        try:
            async with asyncio.timeout(OPEN_S):
                while self._states.get(channel, pb.ITEM_STATE_PENDING) == pb.ITEM_STATE_PENDING:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            message = "it is not open at the venue yet; rows up to then are in no history"
            self._on_gap(pb.FeedGap(channel=channel.message(), message=message))

    async def _flowing(self, seam: Seam) -> None:
        """Wait for the first row: some adapters say that a channel is open when they have asked."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                await seam.came.wait()

    async def _answered(self, request: Any) -> None:
        """Wait until the node has told an answer: it has a queue of its own for them."""
        asked = request.correlation_id or request.id
        until = self._loop.time() + GRACE_S
        # Nautilus has no event for it.
        while self._msgbus.is_pending_request(asked) and self._loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(TURN_S)

    async def _let_go(self, channel: Channel, seam: Seam) -> None:
        await asyncio.sleep(GRACE_S)
        if self._seams.get(channel) is seam and not seam.readers:
            del self._seams[channel]
            self._seen.pop(channel, None)
            await self._sync()

    def _join(self, channel: Channel) -> None:
        """Tell the live rows that were held, but those that the history had."""
        seam = self._seams.pop(channel)
        if seam.overrun:
            message = "more data came than can wait for its history"
            self._on_gap(pb.FeedGap(channel=channel.message(), message=message))
        for row in seam.rest():
            self._handle_data(row)

    async def _sync(self) -> None:
        """Bring the subscription to what is wanted."""
        await asyncio.sleep(0)  # others that are wanted in this turn of the loop go along
        async with self._syncing:
            # As it is now: more may be wanted meanwhile.
            wanted = list(dict.fromkeys((*self._wanted, *self._seams)))
            add = [channel for channel in wanted if channel not in self._held]
            remove = [channel for channel in self._held if channel not in wanted]
            if not add and not remove:
                return
            if self._subscription_id:
                await self._update(wanted, add, remove)
            else:
                await self._subscribe_all(wanted)
            self._held = set(wanted)
            for channel in remove:
                self._states.pop(channel, None)

    async def _update(
        self, wanted: list[Channel], add: list[Channel], remove: list[Channel]
    ) -> None:
        try:
            await self.mesh.market_data.update(
                self._subscription_id,
                add=[channel.message() for channel in add],
                remove=[channel.message() for channel in remove],
            )
        except MeshClientError as error:
            if error.reason != "SUBSCRIPTION_NOT_FOUND":
                raise
            # It was idle for too long while the mesh was away.
            self._on_gap(pb.FeedGap(cause=pb.GAP_CAUSE_RESUBSCRIBED, message=str(error)))
            await self._subscribe_all(wanted)

    async def _subscribe_all(self, wanted: list[Channel]) -> None:
        made = await self.mesh.market_data.subscribe(
            self._config.feed_id,
            *(channel.message() for channel in wanted),
            lossless=True,
            idle_timeout=timedelta(seconds=self._config.idle_timeout_s),
        )
        self._subscription_id = made.subscription_id
        if self._watching is not None:
            self._watching.cancel()
        self._watching = self.create_task(self._watch(), log_msg="watch")

    # -- the stream

    async def _watch(self) -> None:
        cursor = ""
        while True:
            watch = self.mesh.market_data.watch(
                self._subscription_id, columns=True, book_levels=MOST_LEVELS, cursor=cursor
            )
            try:
                async with watch:
                    async for item in watch:
                        self._take(item)
            except MeshClientError as error:
                self._log.error(f"The stream of feed '{self._config.feed_id}' broke: {error}")
                if error.reason == "SUBSCRIPTION_NOT_FOUND":
                    self._on_gap(pb.FeedGap(cause=pb.GAP_CAUSE_RESUBSCRIBED, message=str(error)))
                    self._held.clear()
                    self._subscription_id = ""
                    self._watching = None
                    self.create_task(self._sync(), log_msg="subscribe again")
                    return
                cursor = "" if error.reason == "INVALID_CURSOR" else watch.cursor
            await asyncio.sleep(RETRY_S)

    def _take(self, item: LiveItem) -> None:
        """Take an item; one that cannot be taken does not end the stream of the others."""
        try:
            self._on_item(item)
        except Exception as error:  # of handlers of the node, too
            self._log.exception("An item of the stream could not be taken", error)

    def _on_item(self, item: LiveItem) -> None:
        if isinstance(item, Batch):
            self._on_rows(Channel.of(item.message.channel), objects_of(item.message))
        elif isinstance(item, pb.MarketDataSnapshot):
            self._on_snapshot(item)
        elif isinstance(item, pb.FeedGap):
            self._on_gap(item)
        elif isinstance(item, pb.SubscriptionItem):
            self._on_state(item)

    def _on_rows(self, channel: Channel, rows: list[Data]) -> None:
        if not rows or not (channel in self._wanted or channel in self._seams):
            return
        self._seen[channel] = rows[-1].ts_init
        if isinstance(rows[0], OrderBookDelta):
            rows = grouped(rows)
        if channel in self._seams:
            self._seams[channel].hold(rows)
            return
        for row in rows:
            self._handle_data(row)

    def _on_snapshot(self, snapshot: pb.MarketDataSnapshot) -> None:
        """Take the newest state of what is a state: books always, prices when they are newer."""
        self._on_state(snapshot.item)
        channel = Channel.of(snapshot.item.channel)
        data = state_of(snapshot.latest) if snapshot.HasField("latest") else None
        if channel not in self._wanted or channel in self._seams or data is None:
            return
        known = self._seen.get(channel, -1)
        if data.ts_init > known or isinstance(data, OrderBookDeltas):
            self._seen[channel] = max(known, data.ts_init)
            self._handle_data(data)

    def _on_gap(self, gap: pb.FeedGap) -> None:
        where = str(Channel.of(gap.channel)) if gap.HasField("channel") else "all channels"
        cause = pb.GapCause.Name(gap.cause).removeprefix("GAP_CAUSE_")
        self._log.warning(f"Data may be missing of {where}: {cause}. {gap.message}")
        self._msgbus.publish(TOPIC_GAP, gap)

    def _on_state(self, item: pb.SubscriptionItem) -> None:
        channel = Channel.of(item.channel)
        self._states[channel] = item.state
        self._told.set()
        self._msgbus.publish(TOPIC_STATE, item)
        if item.state == pb.ITEM_STATE_FAILED:
            self._log.error(f"{channel} failed: {item.reason}. {item.message}")
        elif item.state == pb.ITEM_STATE_STALE:
            self._log.warning(f"{channel} is stale. {item.message}")
