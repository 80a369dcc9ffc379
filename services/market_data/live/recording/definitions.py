"""The instrument of what is recorded: the project's, or made of the venue's definition."""

import asyncio

from meshkit.database import Database
from services.market_data.domain import StoredInstrument
from services.market_data.engine import instruments as engine
from services.market_data.live.errors import FeedUnavailable, VenueAnswer
from services.market_data.live.ports import Asked
from services.market_data.live.recording.columns import Precision
from services.market_data.store import InstrumentStore
from services.market_data.writing import Writer


class OtherInstrument(Exception):
    """The project has another instrument of this id than the venue; the message says how."""


class NotAtVenue(Exception):
    """Neither the project nor the venue has the instrument."""


class Definitions:
    """Finds instruments of projects, and makes those that are missing."""

    def __init__(
        self, database: Database, instruments: InstrumentStore, writer: Writer, feeds: Asked
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._writer = writer
        self._feeds = feeds

    async def known(self, project: str, instrument_id: str) -> Precision | None:
        """Return the precision of the project's instrument; None when it has none."""
        async with self._database.connection() as tx:
            found = await self._instruments.find(tx, project, instrument_id)
        return Precision(found.price_precision, found.size_precision) if found else None

    async def ensure(self, project: str, feed_id: str, owner: str, instrument_id: str) -> Precision:
        """Return the precision of an instrument, which the project has afterwards.

        Raises ``OtherInstrument``, ``NotAtVenue``, and what the feed raises; the project's is good
        enough when the feed cannot answer.
        """
        ours = await self.known(project, instrument_id)
        try:
            definition = await self._feeds.instrument(project, feed_id, instrument_id)
        except (VenueAnswer, FeedUnavailable):
            if ours is None:
                raise
            return ours
        if definition is None:
            if ours is None:
                raise NotAtVenue(f"The venue has no instrument {instrument_id}.")
            return ours
        checked = engine.check(definition)
        theirs = Precision(checked.price_precision, checked.size_precision)
        if ours is None:
            return await self._create(project, owner, checked, theirs)
        if ours != theirs:
            raise OtherInstrument(
                f"The project's {instrument_id} has {ours.price} and {ours.size} decimals of price "
                f"and size, the venue's {theirs.price} and {theirs.size}. Delete it with its data, "
                "or record into another project."
            )
        return ours

    async def _create(
        self, project: str, owner: str, checked: engine.Checked, precision: Precision
    ) -> Precision:
        definition = checked.definition
        item = StoredInstrument(
            project=project,
            instrument_id=definition.instrument_id,
            owner=owner,
            definition=definition.SerializeToString(deterministic=True),
            price_precision=precision.price,
            size_precision=precision.size,
        )
        async with self._database.transaction() as tx:
            if await self._instruments.insert(tx, item) is not None:
                root = self._writer.catalog(project).root
                await asyncio.to_thread(engine.write, root, definition)
                return precision
        known = await self.known(project, definition.instrument_id)
        if known is None:  # A/B.X and AB.X would share a folder
            raise OtherInstrument(
                f"The project has an instrument whose id differs from {definition.instrument_id} "
                "by slashes only. Record into another project."
            )
        return known
