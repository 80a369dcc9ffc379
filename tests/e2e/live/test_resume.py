"""MD-71: a client that drops and comes back with its cursor, through the whole mesh."""

import pytest

from chaos.live.readers import Reader, clients, no_faults, reading
from chaos.live.scene import count_up, ended, feed_of_a_venue, flowing, opened, send
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

BTC, ETH, SOL = (f"{name}USDT.BINANCE:quotes" for name in ("BTC", "ETH", "SOL"))
TOO_MANY = 40_000
"""Quotes that are more than what is kept of a channel: a row has 48 bytes, 1 MB is kept."""


async def test_md71_within_the_retention_nothing_is_missing(live_mesh: RunningMesh) -> None:
    """MD-71a: LOSSLESS goes on at the next tick, without a gap or a snapshot; CONFLATED with a
    snapshot.
    """
    async with feed_of_a_venue(live_mesh, "resume") as at, clients(live_mesh, 3) as meshes:
        readers = []
        for mesh, lossless in zip(meshes, (True, True, False), strict=True):
            made = await mesh.market_data.subscribe(
                at.feed_id, BTC, SOL, "BTCUSDT.BINANCE:trades", lossless=lossless
            )
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


async def test_md71_beyond_the_retention_a_gap_is_said(live_mesh: RunningMesh) -> None:
    """MD-71b: a channel of which more came than is kept has the gap CURSOR_TRIMMED and a snapshot
    on the same stream; another one of the same stream goes on without.
    """
    async with feed_of_a_venue(live_mesh, "trimmed") as at, clients(live_mesh, 2) as meshes:
        made = await meshes[0].market_data.subscribe(at.feed_id, BTC, ETH, lossless=True)
        readers = [Reader(mesh, made, columns=True) for mesh in meshes]
        away, stays = readers
        async with reading(readers):
            await opened(at, 2)
            await count_up(at, readers, ("BTCUSDT", "ETHUSDT"), 10)
            await away.stop()
            await count_up(at, [stays], ("ETHUSDT",), 10)
            await count_up(at, [stays], ("BTCUSDT",), TOO_MANY)
            away.start()
            await count_up(at, readers, ("BTCUSDT", "ETHUSDT"), 10)
            no_faults(readers, await at.venue.last())
        assert away.told[BTC].causes == ["CURSOR_TRIMMED"]
        assert away.told[BTC].received < TOO_MANY < stays.told[BTC].received
        assert away.told[ETH].causes == [] == stays.told[BTC].causes
        assert away.told[ETH].received == stays.told[ETH].received == 30
