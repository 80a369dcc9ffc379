"""What becomes of traders whose strategies raise; in a process of their own."""

import asyncio
import importlib
from typing import Any

from nautilus_trader.model.data import CustomData, DataType
from nautilus_trader.model.identifiers import ExecAlgorithmId

from integration.live_execution.strategies.rows import bar, of_every_kind, quote, trade
from integration.live_execution.strategies.scene import (
    VERSION,
    Scene,
    component,
    faulty,
    running,
    until,
)
from integration.nautilus.witness import BTC, MINUTE, START

SECOND = 1_000_000_000
WAYS = [
    "on_start",
    "indicator",
    "on_quote_tick",
    "on_trade_tick",
    "on_bar",
    "on_mark_price",
    "on_index_price",
    "on_funding_rate",
    "on_instrument",
    "on_instrument_status",
    "on_instrument_close",
    "on_order_book_deltas",
    "on_order_book_depth",
    "on_data",
    "on_signal",
    "on_historical_data",
    "on_event",
    "on_order_event",
    "on_order_initialized",
    "on_order_submitted",
    "on_order_filled",
    "on_position_event",
    "on_position_opened",
    "on_my_timer",
    "on_my_alert",
    "on_my_topic",
    "lambda",
    "on_my_endpoint",
    "on_answer",
    "on_save",
]

Told = dict[str, Any]


def told() -> dict[str, Told]:
    """Return what all scenes tell, by name."""
    scenes = (by_every_way, of_every_kind_of_component, on_the_walls_time)
    return {scene.__name__: asyncio.run(scene()) for scene in scenes}


async def by_every_way() -> Told:
    """Return what is told of strategies that raise each at another place, and of a sound one."""
    tags = {way: f"W{number}" for number, way in enumerate(WAYS)}
    bad = [faulty(tag, way) for way, tag in tags.items()]
    twice = faulty("TWICE", "on_bar", then="on_stop")
    exits = [
        faulty(f"X{n}", "on_bar", raises=kind)
        for n, kind in enumerate(("SystemExit", "MemoryError"))
    ]
    async with running(*bad, twice, *exits, faulty("OK", "nowhere"), history=[bar(START)]) as scene:
        await _everything(scene)
        found, failures = scene.statuses(), scene.failures()
        left = [e for e in scene.node.kernel.msgbus.endpoints() if e.endswith(".mine")]
        return {
            "states": {way: found[tag].state for way, tag in tags.items()},
            "handlers": {way: failures[tag].handler for way, tag in tags.items()},
            "calls": {way: scene.made(tag).calls for way, tag in tags.items()},
            "twice": (failures["TWICE"].message, scene.made("TWICE").calls[-2:]),
            "exits": [failures[each.order_id_tag].message for each in exits],
            "sound": (found["OK"].state, scene.made("OK").calls),
            "left": left,
            "running": scene.node.trader.is_running,
            "traceback": list(failures[tags["on_bar"]].traceback),
        }


async def _everything(scene: Scene) -> None:
    """Let everything happen that a strategy can hear of."""
    bus, engine = scene.node.kernel.msgbus, scene.node.kernel.data_engine
    await scene.play(*of_every_kind(START + SECOND))
    engine.process(BTC)
    for status in scene.strategies.statuses():
        made = scene.made(status.order_id_tag)
        if made.is_running:
            made.buy()
    await scene.play(quote(START + 30 * SECOND), quote(START + MINUTE))
    bus.publish("my.topic", "a message")
    thing = importlib.import_module(f"mesh_{VERSION[:16]}").Thing
    engine.process(CustomData(DataType(thing), thing()))
    for endpoint in bus.endpoints():
        if endpoint.endswith(".mine"):
            bus.send(endpoint, "a message")
    scene.made("OK").publish_signal("alarm", 1)
    scene.strategies.save_all()
    scene.strategies.save_all()  # nothing has changed: nothing is saved twice


async def of_every_kind_of_component() -> Told:
    """Return what is told of an actor and execution algorithms that raise."""
    actor = component("ACT", "FaultyActor", kind="ACTOR")
    early = component(
        "EX1",
        "FaultyAlgorithm",
        kind="EXEC_ALGORITHM",
        config={"where": "on_order", "exec_algorithm_id": "EARLY"},
    )
    late = component(
        "EX2",
        "FaultyAlgorithm",
        kind="EXEC_ALGORITHM",
        config={"where": "later", "exec_algorithm_id": "LATE"},
    )
    sound = faulty("OK", "nowhere")
    broken = component(
        "BAD", files=(("main.py", "import nothing_of_this_name"),), version="cd" * 32
    )
    misfit = component("MIS", config={"instrument_id": "X"}, version=VERSION)
    async with running(actor, early, late, broken, misfit, sound) as scene:
        await scene.play(quote(START + SECOND), trade(START + SECOND))
        made = scene.made("OK")
        for algorithm in ("EARLY", "LATE", "LATE"):  # it hears of orders after its first
            made.submit_order(made.market(algorithm))
        await scene.play(quote(START + 2 * SECOND))
        made.submit_order(made.market("EARLY"))  # to one that does not run any more
        orders = {
            algorithm: [
                o.status_string()
                for o in scene.node.cache.orders_for_exec_algorithm(ExecAlgorithmId(algorithm))
            ]
            for algorithm in ("EARLY", "LATE")
        }
        return {
            "states": {tag: status.state for tag, status in scene.statuses().items()},
            "ids": {tag: status.instance_id for tag, status in scene.statuses().items()},
            "reasons": {tag: status.reason for tag, status in scene.statuses().items()},
            "failures": {
                tag: (f.handler, f.message, f.file, f.line) for tag, f in scene.failures().items()
            },
            "orders": orders,
        }


async def on_the_walls_time() -> Told:
    """Return what is told of strategies in a stock node, whose timers run on other threads."""
    ways = {"TIM": "on_my_alert", "QUO": "on_quote_tick", "THR": "in_thread", "INS": "on_answer"}
    bad = [faulty(tag, way, raises="SystemExit") for tag, way in ways.items()]
    async with running(*bad, faulty("OK", "nowhere"), wall=True) as scene:
        made = scene.made("THR")
        made.run_in_executor(made.at, ("in_thread",))
        scene.node.kernel.data_engine.process(quote(scene.node.kernel.clock.timestamp_ns()))
        await until(lambda: len(scene.failures()) == len(bad))
        await until(lambda: "on_my_alert" in scene.made("OK").calls)
        await until(lambda: "on_quote_tick" in scene.made("OK").calls)
        return {
            "handlers": {tag: failed.handler for tag, failed in scene.failures().items()},
            "running": scene.node.trader.is_running,
            "threads": scene.made("OK").threads,
        }
