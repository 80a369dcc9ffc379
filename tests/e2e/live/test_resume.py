"""MD-71: a client that drops and comes back with its cursor, through the whole mesh."""

import pytest

from chaos.live.readers import Reader, clients
from chaos.live.scene import ended, feed_of_a_venue, flowing, send
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

CHANNELS = ("BTCUSDT.BINANCE:quotes", "SOLUSDT.BINANCE:quotes", "BTCUSDT.BINANCE:trades")


async def test_md71_within_the_retention_nothing_is_missing(live_mesh: RunningMesh) -> None:
    """MD-71a: LOSSLESS goes on at the next tick, without a gap or a snapshot; CONFLATED with a
    snapshot.
    """
    async with feed_of_a_venue(live_mesh, "resume") as at, clients(live_mesh, 3) as meshes:
        readers = []
        for mesh, lossless in zip(meshes, (True, True, False), strict=True):
            made = await mesh.market_data.subscribe(at.feed_id, *CHANNELS, lossless=lossless)
            readers.append(Reader(mesh, made, columns=mesh is meshes[0]))
        stays = Reader(meshes[0], readers[0].made)
        for reader in (stays, *readers):
            reader.start()
        await send(at)
        for _ in range(3):
            await flowing(at, [stays, *readers], "ticks before the drop", 5)
            for reader in readers:
                await reader.stop()
            await flowing(at, [stays], "ticks while the others are away", 20)
            for reader in readers:
                reader.start()
        await ended(at, [stays, *readers])
        for reader in (stays, *readers):
            await reader.stop()
            assert reader.causes() == set()
