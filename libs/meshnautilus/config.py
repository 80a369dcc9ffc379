"""Configuration of the mesh's data client."""

from nautilus_trader.common.config import NautilusConfig
from nautilus_trader.config import LiveDataClientConfig, RoutingConfig


class ReplayRange(NautilusConfig, frozen=True):
    """Stored data to be played in lockstep instead of live data.

    Parameters
    ----------
    start, end
        Closed range of ``ts_init`` in unix nanoseconds. None: from the first row, to the last.
    speed
        Seconds of data a second of the wall. 0 is as fast as it goes.

    """

    start: int | None = None
    end: int | None = None
    speed: float = 0.0


class MeshDataClientConfig(LiveDataClientConfig, frozen=True):
    """Configuration for ``MeshDataClient`` instances.

    The address and the API key come from a profile of ``meshctl`` or from ``MESH_ADDRESS`` and
    ``MESH_API_KEY``: never from a config, which Nautilus may write into its events.

    Parameters
    ----------
    feed_id
        Feed of the mesh that gives the data. Not used by a replay in lockstep.
    project
        Project. None: that of the profile, else the API key's first.
    profile
        Profile of ``meshctl``; empty: the default one, or the environment.
    replay
        Play stored data in lockstep. It needs a ``DataTimeNode``, whose clocks the data moves.
    instrument_ids
        Instruments loaded when the client connects; others when they are subscribed to.
    fetch_history
        Whether a request for history that the catalog lacks is fetched from the venue first.
    idle_timeout_s
        Seconds after which the mesh forgets this client's subscription when it is gone.
    routing
        Default: this client serves every venue.

    """

    feed_id: str = ""
    project: str | None = None
    profile: str = ""
    replay: ReplayRange | None = None
    instrument_ids: tuple[str, ...] = ()
    fetch_history: bool = True
    idle_timeout_s: float = 60.0
    routing: RoutingConfig = RoutingConfig(default=True)
