"""Stored data played in lockstep: the next row when all that the last one caused is done."""

from collections.abc import AsyncIterator
from typing import Any

from nautilus_trader.core.data import Data

from mesh.marketdata.v1.instrument_pb2 import InstrumentDefinition
from meshclient.errors import MeshClientError
from meshkit.nautilus.data_time import Pace, driver_of
from meshkit.nautilus.rows import Rows, in_order
from meshnautilus.channels import Channel
from meshnautilus.client import MeshDataClient
from meshnautilus.config import ReplayRange
from meshnautilus.history import NOTHING

TOPIC_ENDED = "mesh.replay.ended"
"""Where the message bus says the end: the number of rows played, or the error that ended it."""


class LockstepMeshDataClient(MeshDataClient):
    """Plays a range of the project's catalog into a ``DataTimeNode``."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._driver = driver_of(self._clock)
        self._range = self._config.replay or ReplayRange()
        self._rows: Rows[Channel] = Rows(self._open, self._driver)

    async def _connect(self) -> None:
        await self.load()
        self.create_task(self._play(), log_msg="play")

    async def _disconnect(self) -> None:
        await self.close()

    async def find_instrument(self, instrument_id: str) -> InstrumentDefinition:
        """Return the project's definition."""
        return (await self.mesh.instruments.get(instrument_id)).definition

    async def all_instruments(self) -> list[InstrumentDefinition]:
        """Return the project's definitions."""
        return [each.definition for each in await self.mesh.instruments.list()]

    async def want(self, channel: Channel) -> None:
        """Play a channel too, from here on."""
        self._rows.want(channel)

    async def unwant(self, channel: Channel) -> None:
        """Play a channel no longer."""
        self._rows.unwant(channel)

    async def _play(self) -> None:
        await self._driver.ready()  # strategies have said what they want
        batches = self._rows.batches(self._range.start, end=self._range.end)
        try:
            pace = Pace(self._range.speed) if self._range.speed else None
            rows = await self._driver.play(batches, self._handle_data, pace)
        except MeshClientError as error:
            self._log.error(f"The replay ended: {error}")
            self._msgbus.publish(TOPIC_ENDED, error)
            return
        if self._range.end is not None and self._driver.running:
            self._driver.advance_to(max(self._range.end, self._driver.now_ns))
        self._log.info(f"The replay has ended: {rows} rows")
        self._msgbus.publish(TOPIC_ENDED, rows)

    async def _open(self, channels: list[Channel], start: int | None) -> AsyncIterator[list[Data]]:
        left = list(channels)
        while left:
            wanted = [channel.message() for channel in left]
            try:
                async for message in self.mesh.replay.read(
                    wanted, start=start, end=self._range.end
                ):
                    yield in_order(message.batches, message.order)
            except MeshClientError as error:
                # One channel without rows, or with none left, does not end the others.
                which = error.metadata.get("channel", "")
                if error.reason not in NOTHING or not which.isdecimal():
                    raise
                self._log.warning(f"{left.pop(int(which))}: nothing to play from here. {error}")
            else:
                return
