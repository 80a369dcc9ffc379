"""A spec → the plan of a trader: everything looked up and checked, versions in full."""

from dataclasses import replace
from typing import Any

from mesh.execution.v1 import trader_pb2 as pb
from mesh.strategy.v1.strategy_pb2 import ComponentKind, StrategyVersion
from meshkit import enums
from meshkit.context import caller
from meshkit.errors import FieldViolation, ScopeMissing
from meshkit.structs import to_json
from services.live_execution.checking import replay_faults, spec_faults
from services.live_execution.domain import Plan
from services.live_execution.errors import bad_spec
from services.live_execution.lookups import Lookups

DEPLOY = "trader.deploy"
"""Scope that a trader with a real venue needs."""

MOST_STRATEGIES = 64
"""As the contract says of a spec."""

Json = dict[str, Any]


async def make_plan(lookups: Lookups, project: str, spec: pb.TraderSpec) -> Plan:
    """Return the plan of a spec.

    Raises ``TraderSpecInvalid`` and ``StrategyConfigInvalid`` naming the fields, ``ScopeMissing``
    for a real venue, and what the look-ups raise.
    """
    if faults := spec_faults(spec):
        raise bad_spec(faults)
    real = is_real(spec)
    check_deploy(real=real)
    versions = await lookups.versions(project, spec.strategies)
    if real and await lookups.is_replay(project, spec.data):
        raise bad_spec(list(replay_faults(spec)))
    if not real:
        await lookups.is_replay(project, spec.data)  # the feed must be there
    if faults := await lookups.adapter_faults(spec):
        raise bad_spec(faults)
    made = pb.TraderSpec()
    made.CopyFrom(spec)
    for strategy, version in zip(made.strategies, versions, strict=True):
        strategy.version = version.version
    components = [
        component(strategy, version)
        for strategy, version in zip(made.strategies, versions, strict=True)
    ]
    return plan_of(made, components)


async def new_component(
    lookups: Lookups, project: str, strategy: pb.TraderStrategy, *, real: bool
) -> Json:
    """Return what a process needs of a strategy that a trader gets; raises as ``make_plan``."""
    check_deploy(real=real)
    version = await lookups.version(project, strategy, "strategy")
    return component(strategy, version)


def check_added(spec: bytes, strategy: pb.TraderStrategy) -> pb.TraderSpec:
    """Return the spec of a trader with one more strategy, the last; raises
    ``TraderSpecInvalid`` when it does not fit.
    """
    wider = pb.TraderSpec.FromString(spec)
    last = f"spec.strategies[{len(wider.strategies)}]"
    wider.strategies.add().CopyFrom(strategy)
    if len(wider.strategies) > MOST_STRATEGIES:
        text = f"a trader has at most {MOST_STRATEGIES} strategies"
        raise bad_spec([FieldViolation("strategy", text)])
    if faults := spec_faults(wider):
        raise bad_spec([replace(f, field=f.field.replace(last, "strategy", 1)) for f in faults])
    return wider


def plan_of(spec: pb.TraderSpec, components: list[Json]) -> Plan:
    """Return the plan of a spec whose strategies are looked up already."""
    return Plan(
        spec=spec.SerializeToString(deterministic=True),
        components=components,
        real=is_real(spec),
        venues=tuple(venue.venue for venue in spec.venues),
        credential_ids=tuple(sorted(_credential_ids(spec))),
    )


def is_real(spec: pb.TraderSpec) -> bool:
    """Whether orders go to a real venue."""
    return any(venue.HasField("live") for venue in spec.venues)


def check_deploy(*, real: bool) -> None:
    """Raise ``ScopeMissing`` unless the caller may send strategies to a real venue."""
    if real and DEPLOY not in caller().scopes:
        raise ScopeMissing(
            f"A trader with a real venue needs the scope '{DEPLOY}'. Use an API key that holds "
            "it, or a sandbox.",
            metadata={"scope": DEPLOY},
        )


def component(strategy: pb.TraderStrategy, version: StrategyVersion) -> Json:
    """Return what a trader's process needs of a strategy (``ports.Component``), as JSON values."""
    return {
        "order_id_tag": strategy.order_id_tag,
        "strategy_id": strategy.strategy_id,
        "version": version.version,
        "kind": enums.bare(ComponentKind, version.kind),
        "files": [[file.path, file.text] for file in version.source.files],
        "importable_path": version.source.importable_path,
        "class_name": version.class_name,
        "config": to_json(strategy.config),
        "on_failure": enums.bare(pb.OnFailure, strategy.on_failure) or "CANCEL_ORDERS",
        "stopped": strategy.stopped,
        "claims": list(strategy.external_order_claims),
    }


def _credential_ids(spec: pb.TraderSpec) -> set[str]:
    accounts = [venue.live for venue in spec.venues if venue.HasField("live")]
    named = {each.credential_id for each in (*accounts, *spec.data.venue.clients)}
    return named - {""}
