"""EX-260 and EX-262: traders at Binance through a whole mesh."""

import asyncio

import pytest

from e2e.trading_binance.scene import At, at_binance
from e2e.trading_binance.secrecy import places, places_of_secrets
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)


async def test_ex260_ex262_orders_reach_the_venue_once(live_mesh: RunningMesh) -> None:
    """EX-260: at spot and futures at once, orders are accepted, filled in parts, filled, cancelled,
    modified and rejected; each trader, killed while orders rest and one is on its way, comes back
    with what the venue has done meanwhile, and no order is sent twice.

    EX-262: no secret of the credential is anywhere but with who uses it.
    """
    async with at_binance(live_mesh, "BNT") as scene:
        await asyncio.gather(*(_trade(at) for at in scene.both))
        await asyncio.gather(*(_killed(at) for at in scene.both))
        assert await places_of_secrets(scene) == []
        looked = {place.split()[0] for place in await places(scene, [scene.spot.name.encode()])}
        assert looked == {"file", "table", "redis", "process", "reply"}


async def _trade(at: At) -> None:
    bought = await at.submit("BUY", "1", "terminal")
    await at.status(bought, "FILLED")
    resting, canceled = await at.rests("49000", "3"), await at.rests("47000")
    at.move("48999.0", "49000.0", size="1")
    await at.status(resting, "PARTIALLY_FILLED")
    await at.client.orders.cancel(at.name, canceled)
    await at.status(canceled, "CANCELED")
    await _modify(at)
    at.move("48998.0", "48999.0")
    await at.status(resting, "FILLED")
    taking = await at.submit("BUY", "1", price="49000", post_only=True)
    assert (await at.status(taking, "REJECTED")).reason
    await at.same()
    at.once()


async def _modify(at: At) -> None:
    """Modify an order where it rests: futures can, spot says that it cannot."""
    key = await at.rests("46000")
    await at.client.orders.modify(at.name, key, price="46100", quantity="2")
    wanted = "UPDATED" if at.market == "futures" else "MODIFY_REJECTED"
    async with asyncio.timeout(30):
        while wanted not in at.told.orders[key]:
            await asyncio.sleep(0.05)
    await at.client.orders.cancel(at.name, key)
    await at.status(key, "CANCELED")


async def _killed(at: At) -> None:
    """Kill a trader while orders rest and one is on its way; the venue goes on meanwhile."""
    filled, ended = await at.rests("48000", "2"), await at.rests("46000")
    rests = await at.rests("45000")
    at.venue.users.lose()  # nobody hears that this one came
    sent = await at.submit("BUY", "1", price="45500")
    async with asyncio.timeout(30):
        while sent not in at.sent():
            await asyncio.sleep(0.01)
    await at.kill()
    at.move("47990.0", "48000.0")
    (order,) = (each for each in at.account.open_orders() if each.client_id == ended)
    at.venue.accounts.end(at.account, order, "CANCELED")
    await at.status(filled, "FILLED")
    await at.status(ended, "CANCELED")
    await at.status(sent, "ACCEPTED")
    assert (await at.client.traders.wait(at.name, "RUNNING")).process.restarts >= 1
    await at.same()
    await at.status(await at.submit("SELL", "1", "terminal"), "FILLED")
    await at.client.orders.cancel(at.name, rests)
    await at.status(rests, "CANCELED")
    await at.same()
    at.once()
