"""Notices what is amiss with a trader that runs: clients, data, lease, stores, strategies."""

import asyncio

from nautilus_trader.system.kernel import NautilusKernel

from mesh.execution.v1 import trader_pb2 as pb
from mesh.marketdata.v1 import live_pb2
from meshnautilus.live import TOPIC_GAP, TOPIC_STATE
from services.live_execution.engine.starting import unconnected
from services.live_execution.engine.states import States, Trouble
from services.live_execution.trader.ports import Standing

LOOK_S = 0.5

AMISS = {live_pb2.ITEM_STATE_FAILED, live_pb2.ITEM_STATE_STALE}

MOST_NAMED = 5

NO_NEW = "no new or increasing orders: the lease has ended"


class Health:
    """Looks after one node, and tells ``States`` of troubles as they come and go."""

    def __init__(self, kernel: NautilusKernel, states: States) -> None:
        self._kernel = kernel
        self._states = states
        self._channels: dict[str, dict[str, str]] = {}
        """By instrument and kind: what is amiss, empty when nothing is."""
        self._gap = ""
        self._count = 0
        self.lost = asyncio.Event()
        """Set when another process has the trader."""
        kernel.msgbus.subscribe(TOPIC_GAP, self._on_gap)
        kernel.msgbus.subscribe(TOPIC_STATE, self._on_state)

    async def watch(self) -> None:
        """Look until the node has stopped, by itself or by somebody."""
        while self._kernel.trader.is_running:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Look once."""
        self._clients()
        self._data()
        self._strategies()
        self._states.tell()

    def on_standing(self, standing: Standing) -> None:
        """Take how the trader stands with its lease and the stores."""
        if standing.lease == "LOST":
            self.lost.set()
            return
        lease = stores = None
        if standing.lease == "AWAY":
            text = "The database is out of reach and the lease has ended. Orders are not sent."
            lease = Trouble("LEASE_LOST", text, NO_NEW)
        away = [name for name in ("postgresql", "redis") if not getattr(standing, name)]
        if away:
            names = {"postgresql": "the database", "redis": "Redis"}
            which = " and ".join(names[name] for name in away)
            text = f"Out of reach: {which}. What happens is journalled and told later."
            stores = Trouble("SERVICE_UNAVAILABLE", text)
        self._states.troubles({"lease": lease, "stores": stores})

    def _clients(self) -> None:
        lacking = unconnected(self._kernel)
        if not lacking:
            self._states.trouble("clients", None)
            return
        data = all(name.endswith("(data)") for name in lacking)
        reason = "DATA_UNAVAILABLE" if data else "VENUE_UNREACHABLE"
        text = f"Not connected: {', '.join(lacking)}. The trader's log says more."
        self._states.trouble("clients", Trouble(reason, text))

    def _data(self) -> None:
        count = self._kernel.data_engine.data_count
        if count != self._count and self._gap:
            self._gap = ""  # it flows again
        self._count = count
        silent = [name for name, kinds in self._channels.items() if all(kinds.values())]
        text = self._gap
        if silent:
            names = ", ".join(sorted(silent)[:MOST_NAMED])
            why = next(iter(self._channels[silent[0]].values()))
            text = f"{text} No data of {names}: {why}".strip()
        self._states.trouble("data", Trouble("DATA_UNAVAILABLE", text) if text else None)

    def _strategies(self) -> None:
        failed = [s for s in self._states.strategies() if s.state == pb.STRATEGY_STATE_FAILED]
        if not failed:
            self._states.trouble("strategies", None)
            return
        names = ", ".join(s.instance_id or s.order_id_tag for s in failed)
        text = f"Failed: {names}. {failed[0].message}"
        self._states.trouble("strategies", Trouble(failed[0].reason or "STRATEGY_RAISED", text))

    def _on_gap(self, gap: live_pb2.FeedGap) -> None:
        self._gap = f"Data may be missing: {gap.message or 'the feed was interrupted'}."

    def _on_state(self, item: live_pb2.SubscriptionItem) -> None:
        """Take the state of a channel. A source may lack a kind: that is no fault of its own."""
        kinds = self._channels.setdefault(item.channel.instrument_id, {})
        state = live_pb2.ItemState.Name(item.state).removeprefix("ITEM_STATE_").lower()
        text = f"it is {state}. {item.message}".strip() if item.state in AMISS else ""
        kinds[item.channel.bar_type or str(item.channel.kind)] = text
