"""EX-242: what no method takes, each with its typed error, through the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from e2e.trading.calls import Caller, broken, methods, request_of, spec
from e2e.trading.inside import key_of_another_project
from meshclient.client import MeshClient
from meshclient.errors import MeshClientError
from running_mesh import RunningMesh

pytestmark = pytest.mark.timeout(300)

MISSING = {
    "GetOrder": "ORDER_NOT_FOUND",
    "GetCommand": "COMMAND_NOT_FOUND",
    **dict.fromkeys(("GetHalt", "ResetHalt"), "HALT_NOT_FOUND"),
    "GetFlatten": "FLATTEN_NOT_FOUND",
    **dict.fromkeys(
        ("GetCredential", "UpdateCredential", "DeleteCredential"), "CREDENTIAL_NOT_FOUND"
    ),
}
"""Reasons where what is named is not there; of all others TRADER_NOT_FOUND."""
MAKING = {"CreateTrader", "CreateCredential", "SetLimits", "GetLimits"}
"""They name nothing that must be there, as lists and watches do not."""


@asynccontextmanager
async def _callers(mesh: RunningMesh) -> AsyncIterator[tuple[MeshClient, list[Caller]]]:
    """Give a client, and callers with its key, another project's, a poor one, and none."""
    async with MeshClient.from_profile(env=mesh.env) as client:
        stranger = await key_of_another_project(mesh, "other")
        poor = await client.keys.create("poor", ["data.read"])
        keys = (client.profile.api_key, stranger, poor.secret, "")
        made = [Caller(mesh.gateway, key) for key in keys]
        async with made[0], made[1], made[2], made[3]:
            yield client, made


async def test_ex242_each_method_refuses(live_mesh: RunningMesh) -> None:
    """EX-242: every method of the four services refuses a caller without token or scope, another
    project, ids that are not there or another project's, each field that breaks its rule by its
    name, and tokens of pages and cursors that it has not given.
    """
    async with _callers(live_mesh) as (client, callers):
        await client.traders.create("REF-001", spec())
        try:
            for method in methods():
                await _strangers(method, *callers)
                await _malformed(method, callers[0])
        finally:
            await client.traders.delete("REF-001")


async def _strangers(
    method: Any, owner: Caller, stranger: Caller, poor: Caller, nobody: Caller
) -> None:
    request = request_of(method, "REF-001")
    said = [_said(await each.refused(method, request)) for each in (nobody, poor)]
    assert said == [("UNAUTHENTICATED", "TOKEN_MISSING"), ("PERMISSION_DENIED", "SCOPE_MISSING")]
    if "trader_id" in request.DESCRIPTOR.fields_by_name or method.name in MISSING:
        named = not method.name.startswith("List") and method.name not in MAKING
    else:
        named = method.name in ("WatchOrders", "Halt", "Flatten")
    if named:
        missing = ("NOT_FOUND", MISSING.get(method.name, "TRADER_NOT_FOUND"))
        assert _said(await stranger.refused(method, request)) == missing, method.name
        unknown = request_of(method, "NONE-1")
        assert _said(await owner.refused(method, unknown)) == missing, method.name
    if "project" in request.DESCRIPTOR.fields_by_name:
        request.project = "default"
        forbidden = await stranger.refused(method, request)
        assert _said(forbidden) == ("PERMISSION_DENIED", "PROJECT_FORBIDDEN"), method.name


async def _malformed(method: Any, owner: Caller) -> None:
    request = request_of(method, "REF-001")
    for name, wrong in broken(request):
        fault = await owner.refused(method, wrong)
        assert _said(fault) == ("INVALID_ARGUMENT", "INVALID_FIELD"), (method.name, name)
        assert any(each.field.startswith(name) for each in fault.violations), (method.name, name)
    for name, reason in (("page_token", "PAGE_TOKEN"), ("after_cursor", "CURSOR")):
        if name in request.DESCRIPTOR.fields_by_name:
            wrong = request_of(method, "REF-001")
            setattr(wrong, name, "nonsense")
            fault = await owner.refused(method, wrong)
            assert _said(fault) == ("INVALID_ARGUMENT", f"INVALID_{reason}"), method.name


def _said(fault: MeshClientError) -> tuple[str, str]:
    return fault.code, fault.reason
