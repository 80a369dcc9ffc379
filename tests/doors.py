"""The sample's backtest, and what must come out of it alike by every door."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from meshclient import samples
from meshclient.client import MeshClient
from running_mesh import RunningMesh


def spec() -> dict[str, Any]:
    """Return the sample's spec as JSON has it."""
    return MessageToDict(samples.load().spec, preserving_proto_field_name=True)


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
    """Run the sample through the Python client, and return its figures."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        run = await client.backtests.run(samples.load().spec)
    return figures(MessageToDict(run, preserving_proto_field_name=True))
