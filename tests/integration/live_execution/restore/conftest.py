"""Scenes that several cases look at, played once."""

from collections.abc import Iterator

import pytest
from nautilus_trader.model.enums import OmsType

from integration.live_execution.restore.busy import Busy, BusyConfig, Scene, quotes
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.snapshots import make

COUNT = 150


class Played(Scene):
    """A scene that was played, with a snapshot made in its middle."""

    def __init__(self, way: str) -> None:
        self.netting = way == "netting"
        oms = OmsType.NETTING if self.netting else OmsType.HEDGING
        super().__init__(oms, virtual=way == "virtual")
        self.data = quotes(COUNT, size="0.25" if way == "hedging" else "100")
        self.begin(Memory())
        self.play(self.data[:COUNT], Busy(BusyConfig(order_id_tag="7")))
        assert self.outside.memory is not None
        self.snapshot = make(self.kernel, self.outside.memory)
        self.number = len(self.kept.facts)
        self.play(self.data[COUNT:])


@pytest.fixture(scope="session", params=["netting", "hedging", "virtual"])
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Give a scene of each way to keep positions: NETTING, HEDGING with the venue's ids, or ours.

    One alone has partial fills: with them the simulated venue changes quantities of orders that
    it has told already, where positions net, so that no fact can be right.
    """
    scene = Played(request.param)
    yield scene
    scene.close()
