"""Streams of what happens to traders and in them."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from google.protobuf.any_pb2 import Any as Packed

from mesh.events.v1.events_pb2 import Event
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.trader_pb2 import TRADER_STATE_STOPPED, TraderChanged
from mesh.execution.v1.trader_service_pb2 import WatchTradersRequest, WatchTradersResponse
from meshkit.watch import Batch, Checkpoint, WatchHub, filter_hash
from services.live_execution.names import AREA, TraderKey

TOLD = frozenset({"trader", "failed", "limit", "flatten", "clock"})
"""Facts of a trader's own stream that tell how it does."""

Accept = Callable[[Event], bool]


class Watching:
    """The facts of traders, for watchers that come and go."""

    def __init__(self, hub: WatchHub) -> None:
        self._hub = hub

    async def traders(
        self, project: str, request: WatchTradersRequest
    ) -> AsyncIterator[WatchTradersResponse]:
        """Yield what happens to the traders of a project, or to those named."""
        named = frozenset(request.trader_ids)
        items = self.facts(
            project,
            request.trader_ids,
            cursor=request.after_cursor,
            filter_hash=filter_hash(request),
            accept=lambda event: is_state(event, project, named),
            area=True,
        )
        async for item in items:
            if isinstance(item, Batch):
                yield WatchTradersResponse(events=item.events, cursor=item.cursor)
            else:
                yield WatchTradersResponse(cursor=item.cursor, checkpoint=True)

    def facts(
        self,
        project: str,
        trader_ids: Sequence[str] = (),
        *,
        cursor: str,
        filter_hash: str,
        accept: Accept,
        area: bool = False,
        checkpoint_s: float = 15.0,
    ) -> AsyncIterator[Checkpoint | Batch]:
        """Watch the own streams of traders, as ``WatchHub.watch``.

        Without ``trader_ids`` all of the project, those too that are made later. With ``area``
        the service's own stream as well: traders made and deleted, halts, flattens.
        """
        if trader_ids:
            follow = _one_of({TraderKey(project, each).facts for each in trader_ids})
        else:
            follow = _starting_with(TraderKey(project, "").facts)
        return self._hub.watch(
            *((AREA,) if area else ()),
            follow=follow,
            cursor=cursor,
            filter_hash=filter_hash,
            accept=accept,
            checkpoint_s=checkpoint_s,
        )


def is_state(event: Event, project: str, named: frozenset[str]) -> bool:
    """Whether an event tells how a trader does, of those named or of all of the project."""
    if event.project != project or (named and event.subject not in named):
        return False
    if event.stream == AREA:
        return event.payload.Is(TraderChanged.DESCRIPTOR)
    fact = fact_of(event)
    if fact is None or fact.WhichOneof("fact") not in TOLD:
        return False
    # It is STOPPED when its process is gone: the service says so. Its own word comes before that.
    return fact.trader.trader.state != TRADER_STATE_STOPPED


def fact_of(event: Event) -> TraderFact | None:
    """Return the fact of a trader's own stream, None for another event."""
    return unpacked(event.payload, TraderFact)


def unpacked[Message](payload: Packed, kind: type[Message]) -> Message | None:
    """Return what is packed when it is of that kind, else None."""
    message: Any = kind()
    return message if payload.Unpack(message) else None


def _starting_with(prefix: str) -> Callable[[str], bool]:
    return lambda stream: stream.startswith(prefix)


def _one_of(streams: set[str]) -> Callable[[str], bool]:
    return lambda stream: stream in streams
