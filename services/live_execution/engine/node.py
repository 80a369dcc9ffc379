"""A trader's spec → its Nautilus node: venues, data, risk engine, live checks."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nautilus_trader.cache.config import CacheConfig
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.live.config import (
    LiveDataEngineConfig,
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.identifiers import TraderId

from mesh.common.v1 import enums_pb2 as enums
from mesh.execution.v1.trader_pb2 import Rate, TraderSpec
from meshclient.client import MeshClient
from meshclient.profiles import Profile
from meshkit.errors import bad_field
from meshkit.nautilus.data_time import DataTimeNode
from meshkit.nautilus.venues.building import build_data, build_exec
from meshkit.times import to_nanos
from meshnautilus import MeshDataClientConfig, ReplayRange, factory_with
from services.live_execution.engine.sandbox import SandboxFactory, sandbox_config
from services.live_execution.trader.ports import Ticket

RATE = "100/00:00:01"
"""Commands a second where the spec says nothing, as the contract says."""

CONNECT_S = 30.0
RECONCILE_S = 60.0

Secrets = Mapping[str, Mapping[str, str]]
"""Secrets of venues by credential id."""


@dataclass
class Clients:
    """Clients of one side (data or execution) of a node: configs and factories by name."""

    configs: dict[str, Any] = field(default_factory=dict)
    factories: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, config: Any, factory: Any) -> None:
        """Add a client."""
        self.configs[name] = config
        self.factories[name] = factory


def make_node(
    ticket: Ticket,
    spec: TraderSpec,
    secrets: Secrets,
    *,
    life: int,
    clock_ns: int,
    loop: asyncio.AbstractEventLoop,
    first_ns: int = 0,
) -> TradingNode:
    """Return the node of a trader, with its factories, not built yet.

    ``life`` is the number of the lease. ``clock_ns`` (unix ns) is how far a replay has come, 0
    when it begins; ``first_ns`` is where one begins that has no start. Raises the typed errors of
    the adapters' configs.
    """
    execution = _execution(spec, secrets, life)
    data = Clients() if ticket.safety_mode else _data(ticket, spec, secrets, clock_ns)
    config = _config(ticket, spec, data, execution)
    if spec.data.WhichOneof("source") == "replay":
        node: TradingNode = DataTimeNode(config, max(_start(spec) or first_ns, clock_ns), loop=loop)
    else:
        node = TradingNode(config, loop=loop)
    for name, factory in data.factories.items():
        node.add_data_client_factory(name, factory)
    for name, factory in execution.factories.items():
        node.add_exec_client_factory(name, factory)
    return node


def begins_anywhere(spec: TraderSpec) -> bool:
    """Whether the trader replays from the first row on, whenever that was."""
    return spec.data.WhichOneof("source") == "replay" and not _start(spec)


def is_real(spec: TraderSpec) -> bool:
    """Whether one of the venues is a real one."""
    return any(venue.WhichOneof("account") == "live" for venue in spec.venues)


def hedged_venues(spec: TraderSpec) -> set[str]:
    """Return the sandbox venues that hold positions side by side."""
    hedging = enums.OMS_TYPE_HEDGING
    return {venue.venue for venue in spec.venues if venue.sandbox.oms_type == hedging}


def credential_ids(spec: TraderSpec, *, data: bool = True) -> set[str]:
    """Return the credentials that a node needs."""
    named = [v.live.credential_id for v in spec.venues if v.WhichOneof("account") == "live"]
    if data and spec.data.WhichOneof("source") == "venue":
        named += [client.credential_id for client in spec.data.venue.clients]
    return {each for each in named if each}


def _execution(spec: TraderSpec, secrets: Secrets, life: int) -> Clients:
    found = Clients()
    for venue in spec.venues:
        if venue.WhichOneof("account") == "sandbox":
            config = sandbox_config(venue.venue, venue.sandbox, life)
            found.add(venue.venue, config, SandboxFactory)
        else:
            live = venue.live
            given = secrets.get(live.credential_id, {})
            built = build_exec(live.adapter, venue.venue, _json(live.config_json), given)
            found.add(venue.venue, built.config, built.factory)
    return found


def _data(ticket: Ticket, spec: TraderSpec, secrets: Secrets, clock_ns: int) -> Clients:
    found = Clients()
    source = spec.data.WhichOneof("source")
    if source == "venue":
        return _venue_data(spec, secrets)
    config = MeshDataClientConfig(
        feed_id=spec.data.mesh.feed_id,
        project=ticket.project,
        replay=_range(spec, clock_ns) if source == "replay" else None,
        instrument_ids=tuple(spec.data.instrument_ids),
    )
    found.add("MESH", config, factory_with(lambda: open_mesh(ticket)))
    return found


def _venue_data(spec: TraderSpec, secrets: Secrets) -> Clients:
    """Return data clients of the venues' own adapters; a single one serves every instrument."""
    found = Clients()
    clients = spec.data.venue.clients
    for client in clients:
        if client.adapter in found.configs:
            raise bad_field("spec.data.venue.clients", f"has {client.adapter} twice")
        given = secrets.get(client.credential_id, {})
        config, wanted = _json(client.config_json), spec.data.instrument_ids
        built = build_data(client.adapter, config, given, wanted, alone=len(clients) == 1)
        found.add(client.adapter, built.config, built.factory)
    return found


def _json(text: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(text or "{}")
    return made


def open_mesh(ticket: Ticket) -> MeshClient:
    """Return a client of the mesh that the trader reads its data from."""
    profile = Profile("trader", ticket.mesh_address, ticket.mesh_token, ticket.project)
    return MeshClient(profile)


def _start(spec: TraderSpec) -> int:
    given = spec.data.replay.range
    return to_nanos(given.start) if given.HasField("start") else 0


def _range(spec: TraderSpec, clock_ns: int) -> ReplayRange:
    """Return what is left of a replay: all is done up to ``clock_ns``."""
    given = spec.data.replay.range
    start = _start(spec) or None
    if clock_ns:
        start = max(start or 0, clock_ns + 1)
    end = to_nanos(given.end) if given.HasField("end") else None
    return ReplayRange(start=start, end=end, speed=spec.data.replay.speed)


def _config(
    ticket: Ticket, spec: TraderSpec, data: Clients, execution: Clients
) -> TradingNodeConfig:
    return TradingNodeConfig(
        trader_id=TraderId(ticket.trader_id),
        logging=LoggingConfig(log_level="INFO", log_colors=False, print_config=False),
        cache=CacheConfig(),
        data_engine=LiveDataEngineConfig(graceful_shutdown_on_exception=True),
        risk_engine=_risk(spec),
        exec_engine=_checks(spec),
        data_clients=data.configs,
        exec_clients=execution.configs,
        timeout_connection=CONNECT_S,
        timeout_reconciliation=RECONCILE_S,
        timeout_portfolio=CONNECT_S,
        timeout_disconnection=5.0,
        timeout_post_stop=0.0,
    )


def _risk(spec: TraderSpec) -> LiveRiskEngineConfig:
    risk = spec.risk
    notional = {key: _number(value) for key, value in risk.max_notional_per_order.items()}
    notional.pop("*", None)  # ours alone: see limits.py
    return LiveRiskEngineConfig(
        max_order_submit_rate=_rate(risk.max_order_submit_rate),
        max_order_modify_rate=_rate(risk.max_order_modify_rate),
        max_notional_per_order=notional,
        graceful_shutdown_on_exception=True,
    )


def _number(text: str) -> int:
    """Return a bound as Nautilus takes it, whole and not below ours: ours is exact."""
    whole, _, rest = text.partition(".")
    return int(whole) + (1 if rest.strip("0") else 0)


def _rate(rate: Rate) -> str:
    if not rate.limit:
        return RATE
    seconds = rate.interval.seconds
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{rate.limit}/{hours:02}:{minutes:02}:{seconds % 60:02}"


def _checks(spec: TraderSpec) -> LiveExecEngineConfig:
    """Return the checks of orders and positions against venues; a sandbox cannot lose any."""
    # Orders in flight are looked up by intents_resolving.py: Nautilus' check gives up after five
    # tries, and calls an order rejected of which nothing is known.
    if not is_real(spec):
        return LiveExecEngineConfig(
            reconciliation=True,
            inflight_check_interval_ms=0,
            graceful_shutdown_on_exception=True,
        )
    return LiveExecEngineConfig(
        reconciliation=True,
        inflight_check_interval_ms=0,
        open_check_interval_secs=10.0,
        position_check_interval_secs=60.0,
        reconciliation_startup_delay_secs=5.0,
        graceful_shutdown_on_exception=True,
    )
