"""Strategies added, stopped, started and removed; in a process of their own."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nautilus_trader.model.identifiers import StrategyId

from integration.live_execution.strategies.rows import quote
from integration.live_execution.strategies.scene import Memory, Scene, component, running
from integration.nautilus.witness import BTC, START
from services.live_execution.engine.refused import Refused
from services.live_execution.trader.ports import Component

KEEPER = (Path(__file__).parent / "keeper.py").read_text()
SECOND = 1_000_000_000
Told = dict[str, Any]


def told() -> dict[str, Told]:
    """Return what all scenes tell, by name."""
    scenes = (stopped_and_started, removed, failed)
    return {scene.__name__: asyncio.run(scene()) for scene in scenes}


def keeper(tag: str, *, step: int = 1, name: str = "Keeper", **changes: Any) -> Component:
    """Return a keeper; another ``step`` or ``name`` is another version."""
    text = KEEPER.replace("STEP = 1", f"STEP = {step}").replace("Keeper", name)
    config = {"instrument_id": str(BTC.id), **changes.pop("config", {})}
    version = f"{step:02}{len(name):02}" * 16
    files = (("main.py", text),)
    return component(tag, name, files=files, version=version, config=config, **changes)


class Quotes:
    """Plays one quote after the other, a second apart."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._number = 0

    async def __call__(self, count: int = 1) -> None:
        """Play so many."""
        for _ in range(count):
            self._number += 1
            await self._scene.play(quote(START + self._number * SECOND))


async def stopped_and_started() -> Told:
    """Return what is told of one that is stopped, started, and given another version."""
    lost = keeper("S", config={"instrument_id": "NONE.BINANCE"})
    async with running(keeper("A"), keeper("B", stopped=True), lost) as scene:
        quotes, strategies = Quotes(scene), scene.strategies
        told: Told = {"by itself": scene.statuses()["S"]}
        strategies.remove("S")
        told["at first"] = _states(scene)
        await quotes(3)
        strategies.save_all()
        strategies.save_all()
        first = scene.made("A")
        strategies.stop("A")
        strategies.start("B")
        told["stopped"] = _states(scene), _saves(scene)
        await quotes(2)
        strategies.start("A")
        told["anew"] = scene.made("A") is not first, scene.made("A").count
        await quotes(2)
        told["heard by"] = first.count, scene.made("A").count, scene.made("B").count
        strategies.stop("A")
        strategies.add(keeper("A", step=10))
        await quotes(1)
        told["new version"] = scene.made("A").count
        told["refused"] = _refusals(scene)
        strategies.add(keeper("A", step=10))  # as it runs already
        told["ids"] = [str(order.client_order_id) for order in scene.node.cache.orders()]
        told["running"] = scene.node.trader.is_running
        return told


def _refusals(scene: Scene) -> list[str]:
    found: list[str] = []
    strategies = scene.strategies
    actions: list[Callable[[], None]] = [
        lambda: strategies.add(keeper("A", step=20)),
        lambda: strategies.start("NONE"),
        lambda: strategies.stop("NONE"),
        lambda: strategies.remove("NONE"),
    ]
    for action in actions:
        try:
            action()
        except Refused as refused:
            found.append(refused.reason)
    return found


def _states(scene: Scene) -> dict[str, int]:
    return {tag: status.state for tag, status in scene.statuses().items()}


def _saves(scene: Scene) -> list[bytes]:
    saved = [fact.saved for fact in scene.outside.facts if fact.HasField("saved")]
    return [each.state["count"] for each in saved if each.instance_id == "Keeper-A"]


async def removed() -> Told:
    """Return what is left of strategies that were removed, and of one in the place of another."""
    claims = (str(BTC.id),)
    first, third = keeper("A", claims=claims), keeper("C", claims=claims)
    async with running(first, keeper("B"), third) as scene:
        quotes, strategies = Quotes(scene), scene.strategies
        told: Told = {
            "claimed twice": (scene.statuses()["C"].reason, scene.statuses()["C"].message)
        }
        await quotes(1)
        strategies.remove("A", cancel_orders=True, close_positions=True)
        strategies.remove("B")
        strategies.start("C")
        await quotes(1)
        told["left"] = {tag: _left(scene, f"Keeper-{tag}") for tag in "AB"}
        bus = scene.node.kernel.msgbus
        told["heard"] = [s.topic for s in bus.subscriptions("events.*Keeper-[AB]")]
        told["claims"] = {
            str(k): str(v) for k, v in scene.node.kernel.exec_engine._external_order_claims.items()
        }
        told["states"] = _states(scene)
        strategies.add(keeper("A", name="Other"))
        await quotes(1)
        told["other"] = scene.made("A").count
        ids = [str(order.client_order_id) for order in scene.node.cache.orders()]
        told["ids"] = (
            len(ids),
            len(set(ids)),
            [each.split("-")[-1] for each in ids if "-A-" in each],
        )
        told["forgotten"] = dict(Memory.of(scene.outside.facts).strategy_states["Keeper-B"])
        return told


def _left(scene: Scene, instance_id: str) -> tuple[list[str], int]:
    """Return the statuses of a strategy's orders and the number of its open positions."""
    strategy_id = StrategyId(instance_id)
    orders = scene.node.cache.orders(strategy_id=strategy_id)
    open_ = scene.node.cache.positions_open(strategy_id=strategy_id)
    return sorted(order.status_string() for order in orders), len(open_)


async def failed() -> Told:
    """Return what becomes of orders, and of strategies that have failed and are started again."""
    policies = {"C": "CANCEL_ORDERS", "F": "FLATTEN", "L": "LEAVE"}
    bad = [keeper(t, on_failure=p, config={"fail_at": 1}) for t, p in policies.items()]
    odd = keeper("O", config={"state": "odd", "trades": False})
    unreadable = keeper("U", config={"state": "unreadable", "trades": False})
    memory = Memory({"Keeper-U": {"count": b"5"}})
    async with running(*bad, odd, unreadable, keeper("OK"), memory=memory) as scene:
        quotes, strategies = Quotes(scene), scene.strategies
        told: Told = {}
        await quotes(1)
        strategies.save_all()
        await quotes(1)
        told["orders"] = {tag: _left(scene, f"Keeper-{tag}") for tag in policies}
        told["states"] = {t: (f.handler, f.message) for t, f in scene.failures().items()}
        told["ok"] = scene.made("OK").count
        memory = Memory.of(scene.outside.facts)
        strategies.start("L")  # as it is
        strategies.add(keeper("F", step=7, config={"fail_at": 1}))
        await quotes(2)
        told["again"] = scene.statuses()["L"].state, scene.made("L").count
        told["mended"] = scene.statuses()["F"].state, scene.made("F").count
    again = keeper("L", on_failure="LEAVE", config={"fail_at": 1})
    async with running(again, keeper("F", step=7), memory=memory) as scene:
        told["restarted"] = _states(scene)
        scene.strategies.start("L")
        told["by command"] = _states(scene)
    return told
