"""The backtest that is run through each door, and what must come out of it alike."""

from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from meshclient import spec
from meshclient.client import MeshClient
from running_mesh import RunningMesh

SPEC = Path(__file__).parent / "e2e" / "doors" / "backtest.json"


def figures(run: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a run in JSON that do not depend on when and where it ran."""
    result = run["result"]
    statistics = [*result["returns"], *result["general"]]
    statistics += [s for currency in result["currencies"] for s in currency["pnl"]]
    return {
        "orders": int(result["total_orders"]),
        "balances": [b["amount"] for a in result["accounts"] for b in a["balances"]],
        **{s["name"]: s.get("value") for s in statistics},
    }


async def by_python(mesh: RunningMesh) -> dict[str, Any]:
    """Run it through the Python client, and return its figures."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        run = await client.backtests.run(spec.load(SPEC).spec)
    return figures(MessageToDict(run, preserving_proto_field_name=True))
