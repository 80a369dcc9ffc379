"""EX-261: the kill switch at a real venue."""

import asyncio

import pytest

from e2e.trading_binance.scene import At, Scene, at_binance
from mesh.execution.v1 import safety_pb2 as pb
from meshclient.errors import MeshClientError
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)


async def test_ex261_flat_is_said_after_reading_back(live_mesh: RunningMesh) -> None:
    """EX-261: a halt with a flatten ends flat when the venue has nothing open any more; nothing is
    sent while the halt is in force; after its reset the traders trade on.
    """
    async with at_binance(live_mesh, "BNH") as scene:
        await asyncio.gather(*(_open(at) for at in scene.both))
        made = await scene.client.safety.halt(venue="BINANCE", reason="drill", flatten=True)
        try:
            await _flat(scene, made.flatten.flatten_id)
            await _refused(scene)
            await asyncio.gather(*(at.same() for at in scene.both))
        finally:  # the mesh is others' too
            await scene.client.safety.reset(made.halt.halt_id)
        await asyncio.gather(*(_trades(at) for at in scene.both))
        for at in scene.both:
            at.once()


async def _open(at: At) -> None:
    """Let a trader hold a position and a resting order."""
    await at.status(await at.submit("BUY", "2", "terminal"), "FILLED")
    await at.rests("45000")
    await at.same()


async def _trades(at: At) -> None:
    await at.client.traders.wait(at.name, "RUNNING")
    await at.status(await at.submit("BUY", "1", "terminal"), "FILLED")


async def _flat(scene: Scene, flatten_id: str) -> None:
    """Wait for the end of a flatten, and check by the venue's books that flat is no mere word."""
    found = await scene.client.safety.wait_flat(flatten_id)
    assert found.state == pb.FLATTEN_STATE_FLAT, found
    for at in scene.both:
        assert at.is_flat()


async def _refused(scene: Scene) -> None:
    """Check that no trader takes an order, and that the venue gets none."""
    for at in scene.both:
        before = at.sent()
        with pytest.raises(MeshClientError) as caught:
            await at.submit("BUY", "1", "accepted")
        assert caught.value.reason == "TRADER_HALTED"
        assert at.sent() == before
