"""Stored data of many channels in one order of time, to be played in lockstep."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from mesh.marketdata.v1.live_pb2 import Channel
from meshclient.connection import Retry
from meshclient.errors import MeshClientError
from meshclient.group import Group
from meshkit.times import to_timestamp

PATIENCE_S = 60.0
"""Seconds that a reader waits for a mesh that restarts."""

RESUMED = {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
"""How a stream may end before its data does."""


class Replay(Group):
    """``mesh.replay``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return FeedServiceStub(channel)

    async def read(
        self, channels: Sequence[Channel], *, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[rpc.ReadReplayResponse]:
        """Yield rows of a closed range of ``ts_init`` (unix ns), merged by time.

        The server sends on as the reader takes: nothing is dropped. An interrupted stream is gone
        on with where it was. Raises ``MeshClientError`` (NO_DATA, RANGE_OUTSIDE_COVERAGE, …).
        """
        request = rpc.ReadReplayRequest(project=self._project, channels=channels)
        if start is not None:
            request.range.start.CopyFrom(to_timestamp(start))
        if end is not None:
            request.range.end.CopyFrom(to_timestamp(end))
        retry = Retry(PATIENCE_S)
        while True:
            try:
                async for message in self._connection.stream(self._stub.ReadReplay, request):
                    request.after_cursor = message.cursor or request.after_cursor
                    yield message
                    retry = Retry(PATIENCE_S)
            except MeshClientError as error:
                if error.code not in RESUMED:
                    raise
                await retry.wait(error)
            else:
                return
