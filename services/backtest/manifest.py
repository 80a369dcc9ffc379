"""What exactly runs: versions of everything that decides a result."""

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from google.protobuf import json_format

from mesh.backtest.v1.backtest_pb2 import BacktestSpec
from mesh.strategy.v1.strategy_pb2 import StrategyVersion
from meshkit import VERSION
from services.backtest.convert import digest
from services.backtest.domain import Json

PACKAGES = ("nautilus_trader", "numpy", "pandas", "pyarrow")


def make_manifest(
    spec: BacktestSpec, spec_json: Json, versions: Iterable[StrategyVersion], fingerprint: str
) -> Json:
    """Return a run's manifest in the contract's JSON form."""
    return {
        "components": [
            {
                "strategy_id": version.strategy_id,
                "version": version.version,
                "class_name": version.class_name,
                "config_hash": digest(json_format.MessageToDict(component.config)),
            }
            for component, version in zip(spec.components, versions, strict=True)
        ],
        "data_fingerprint": fingerprint,
        "spec_hash": digest(spec_json),
        "versions": dict(_versions()),
        "seed": str(spec.seed),
        "lock_hash": _lock_hash(),
    }


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [(name, metadata.version(name)) for name in PACKAGES]
    return (*found, ("python", platform.python_version()), ("mesh", VERSION))


@cache
def _lock_hash() -> str:
    names = sorted(f"{d.name}=={d.version}" for d in metadata.distributions())
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
