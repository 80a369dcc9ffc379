"""Scenes that several cases look at, played once."""

from collections.abc import Iterator

import pytest
from nautilus_trader.model.enums import OmsType

from integration.live_execution.restore.busy import Busy, BusyConfig, Scene, quotes
from services.live_execution.engine.memory import Memory
from services.live_execution.engine.snapshots import make

COUNT = 300


class Played(Scene):
    """A scene that was played, with a snapshot made in its middle."""

    def __init__(self, oms: OmsType, size: str) -> None:
        super().__init__(oms)
        self.netting = oms == OmsType.NETTING
        self.data = quotes(COUNT, size=size)
        self.begin(Memory())
        self.play(self.data[:COUNT], Busy(BusyConfig(order_id_tag="7")))
        assert self.outside.memory is not None
        self.snapshot = make(self.kernel, self.outside.memory)
        self.number = len(self.kept.facts)
        self.play(self.data[COUNT:])


@pytest.fixture(scope="session", params=["netting", "hedging"])
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Give a scene of each way to keep positions; the second one has partial fills.

    In the first one it has none: the simulated venue then changes the quantity of an order that
    it has told already, so that no fact can be right.
    """
    netting = request.param == "netting"
    scene = Played(OmsType.NETTING if netting else OmsType.HEDGING, "100" if netting else "0.25")
    yield scene
    scene.close()
