"""Who may pass, and how often (GW-04, GW-05)."""

import asyncio
import base64
import json
from typing import Any

import pytest

from integration.failures import Failure, failure
from integration.gateway.conftest import Gate, Open
from integration.issuer import Signer
from mesh.strategy.v1 import strategy_service_pb2 as rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from services.gateway.envoy import Limits

PATH = "/v1/strategies/abc"
LIMIT_HEADERS = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


async def both(gate: Gate, token: str | None) -> tuple[Failure, dict[str, Any], int]:
    """Make the same call by gRPC and by REST; both must fail. Return failure, body and status."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    stub = await gate.stub(StrategyServiceStub)
    request = rpc.GetStrategyRequest(strategy_id="abc")
    grpc_failure = await failure(stub.GetStrategy(request, metadata=tuple(headers.items())))
    reply = await gate.rest.get(PATH, headers=headers)
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.headers) >= {"x-request-id", *LIMIT_HEADERS}
    body = reply.json()
    assert body["message"] == grpc_failure.message
    assert body["details"][0]["reason"] == grpc_failure.reason
    assert body["details"][0]["domain"] == "nautilus-mesh"
    return grpc_failure, body, reply.status_code


async def test_gw_04_no_token(gate: Gate) -> None:
    """A call without a token is told how to send one."""
    fault, body, status = await both(gate, None)
    assert (fault.code, fault.reason) == ("UNAUTHENTICATED", "TOKEN_MISSING")
    assert (body["code"], status) == (16, 401)


async def test_gw_04_expired_token(open_gate: Open) -> None:
    """A token past its time is told from a false one."""
    async with open_gate(token_seconds=1) as gate:
        token = await gate.token()
        stub = await gate.stub(StrategyServiceStub)
        request = rpc.GetStrategyRequest(strategy_id="missing")
        for _ in range(400):  # Envoy allows clocks to differ by a second; the service does not
            if "Jwt_is_expired" in gate.access_log:
                break
            fault = await failure(_get(stub, request, token))
            assert fault.reason in {"STRATEGY_NOT_FOUND", "TOKEN_EXPIRED"}
            await asyncio.sleep(0.05)
        fault, body, status = await both(gate, token)
        assert (fault.code, fault.reason) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")
        assert (body["code"], status) == (16, 401)


@pytest.mark.parametrize("forgery", ["text", "key", "payload", "none", "audience"])
async def test_gw_04_forged_token(gate: Gate, forgery: str) -> None:
    """What this mesh did not sign, for this mesh, is no token."""
    fault, body, status = await both(gate, _forged(forgery, await gate.token()))
    assert (fault.code, fault.reason) == ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert (body["code"], status) == (16, 401)
    assert gate.strategies.calls == 0


async def test_gw_04_missing_scope(gate: Gate) -> None:
    """A token without the method's scope is told which; it never reaches the service."""
    fault, body, status = await both(gate, await gate.token("data.read", "strategy.write"))
    assert (fault.code, fault.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")
    assert fault.metadata == {"scope": "strategy.read"}
    assert (body["code"], status) == (7, 403)
    assert gate.strategies.calls == 0


async def test_gw_05_limit_by_token(open_gate: Open) -> None:
    """Over the limit of its token a caller is told when to come back; others are not held up."""
    async with open_gate(limits=Limits(token=5, address=10_000)) as gate:
        busy, calm = await gate.headers(), await gate.headers("strategy.read")
        replies = await asyncio.gather(*(gate.rest.get(PATH, headers=busy) for _ in range(40)))
        assert {reply.status_code for reply in replies} == {200, 429}
        assert all(set(reply.headers) >= LIMIT_HEADERS for reply in replies)
        refused = next(reply for reply in replies if reply.status_code == 429)
        assert (refused.headers["x-ratelimit-limit"], refused.headers["retry-after"]) == ("5", "1")
        assert refused.headers["x-ratelimit-remaining"] == "0"
        reasons = [detail.get("reason") for detail in refused.json()["details"]]
        assert reasons == ["RATE_LIMITED", None]
        assert refused.json()["details"][1]["retryDelay"] == "1s"
        assert (await gate.rest.get(PATH, headers=calm)).status_code == 200


async def test_gw_05_limit_over_grpc(open_gate: Open) -> None:
    """gRPC callers get RESOURCE_EXHAUSTED with RetryInfo, and limits in the metadata of replies."""
    async with open_gate(limits=Limits(token=5, address=10_000)) as gate:
        stub = await gate.stub(StrategyServiceStub)
        metadata = tuple((await gate.headers()).items())
        request = rpc.GetStrategyRequest(strategy_id="abc")
        calls = [stub.GetStrategy(request, metadata=metadata) for _ in range(40)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        good = next(c for c, a in zip(calls, answers, strict=True) if not _failed(a))
        bad = next(c for c, a in zip(calls, answers, strict=True) if _failed(a))
        assert {k for k, _ in await good.initial_metadata()} >= {"x-request-id", *LIMIT_HEADERS}
        fault = await failure(bad)
        assert (fault.code, fault.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert fault.retry_after == 1.0


async def test_gw_05_limit_by_address(open_gate: Open) -> None:
    """A client cannot pass the limit of its address by using many tokens, or none."""
    async with open_gate(limits=Limits(token=1000, address=10)) as gate:
        replies = await asyncio.gather(
            *(gate.rest.get(PATH, headers={"authorization": f"Bearer {n}"}) for n in range(60))
        )
        assert {reply.status_code for reply in replies} == {401, 429}


def _failed(answer: Any) -> bool:
    return isinstance(answer, BaseException)


def _get(stub: Any, request: Any, token: str) -> Any:
    return stub.GetStrategy(request, metadata=(("authorization", f"Bearer {token}"),))


def _forged(how: str, good: str) -> str:
    head, payload, signature = good.split(".")
    if how == "text":
        return "not-a-token"
    if how == "key":  # right in everything but the key that signed it
        kid = json.loads(_decoded(head))["kid"]
        return Signer().token("strategy.read", kid=kid)
    if how == "audience":
        return Signer().token("strategy.read", aud="somebody-else")
    if how == "none":
        return f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}."
    claims = json.loads(_decoded(payload)) | {"sub": "somebody-else"}
    return f"{head}.{_encoded(claims)}.{signature}"


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
