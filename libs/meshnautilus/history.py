"""Requests for history: from the catalog, and from the venue what that lacks."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import pandas as pd
from nautilus_trader.core.data import Data

from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from meshkit.nautilus.rows import in_order
from meshnautilus.channels import Channel

NOTHING = {"NO_DATA", "RANGE_OUTSIDE_COVERAGE"}
UNFETCHED = {"HISTORY_UNSUPPORTED", "VENUE_REFUSED", "FEED_UNAVAILABLE", "SCOPE_MISSING"}
"""Why a venue is not asked; what the catalog has is the answer then."""

MINUTE = 60_000_000_000
MOMENT = 1_000_000_000
"""Nanoseconds that a request may be under way inside of Nautilus."""


@dataclass(frozen=True)
class Wanted:
    """A closed range (unix ns) of a channel; ``limit`` 0 means all, else the newest so many."""

    channel: Channel
    start: int | None
    end: int
    limit: int

    @classmethod
    def of(cls, channel: Channel, request: Any, now: int) -> "Wanted":
        """Return what a request of Nautilus means: one up to when it was made, to now."""
        start = None if request.start is None else pd.Timestamp(request.start).value
        end = now if to_now(request) else pd.Timestamp(request.end).value
        return cls(channel, start, end, int(request.limit or 0))


def to_now(request: Any) -> bool:
    """Whether a request has no end of its own: Nautilus sets the time at which it was made."""
    return request.end is None or pd.Timestamp(request.end).value >= request.ts_init - MOMENT


async def read(mesh: MeshClient, wanted: Wanted) -> list[Data]:
    """Return the rows that the catalog has, the oldest first; none is no error."""
    rows: deque[Data] = deque(maxlen=wanted.limit or None)
    channels = [wanted.channel.message()]
    try:
        async for message in mesh.replay.read(channels, start=wanted.start, end=wanted.end):
            rows.extend(in_order(message.batches, message.order))
    except MeshClientError as error:
        if error.reason not in NOTHING:
            raise
    return list(rows)


async def fetch(
    mesh: MeshClient, feed_id: str, wanted: Wanted, log: Any, refresh: bool = False
) -> None:
    """Have what the catalog lacks of a range fetched from the venue into it.

    With ``refresh`` the last minute is asked for again, though it was asked for before.
    """
    if wanted.start is None:
        return
    since = max(wanted.start, wanted.end - MINUTE) if refresh else wanted.start
    start, end = (pd.Timestamp(ns, unit="ns", tz="UTC") for ns in (since, wanted.end))
    channel = wanted.channel.message()
    try:
        job = await mesh.history_jobs.request(feed_id, channel, start, end, refresh=refresh)
        await mesh.history_jobs.wait(job.history_job_id)
    except MeshClientError as error:
        if error.reason not in UNFETCHED:
            raise
        log.warning(f"{wanted.channel}: only what the catalog has. {error}")
