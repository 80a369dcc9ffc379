"""The REST and gRPC-Web doors (GW-06, GW-07)."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from google.rpc import status_pb2

from integration.failures import failure
from integration.gateway.conftest import ORIGIN, Gate
from mesh.strategy.v1 import strategy_service_pb2 as rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub

RUN = "11111111-1111-4111-8111-111111111111"
GRPC_WEB = "/mesh.strategy.v1.StrategyService/GetStrategy"
TRAILER = 0x80
MB = 2**20


def reason(reply: httpx.Response) -> str:
    """Return the reason of a REST error."""
    return str(reply.json()["details"][0]["reason"])


async def test_gw_06_unary(gate: Gate) -> None:
    """Path, query and body reach the service; the reply is JSON with its defaults written out."""
    headers = await gate.headers()
    reply = await gate.rest.get("/v1/strategies/abc?project=default", headers=headers)
    assert reply.status_code == 200
    assert reply.json()["strategy"]["strategyId"] == "abc"
    assert reply.json()["strategy"]["versionCount"] == 0
    body = {
        "request_id": RUN,
        "strategyId": "ema",
        "kind": "COMPONENT_KIND_STRATEGY",
        "displayName": "EMA – cross",
    }
    reply = await gate.rest.post("/v1/strategies", headers=headers, json=body)
    assert (reply.status_code, reply.json()["strategy"]["displayName"]) == (200, "EMA – cross")


async def test_gw_06_server_stream(gate: Gate) -> None:
    """A stream is JSON, a line a message."""
    headers = await gate.headers()
    reply = await gate.rest.get(f"/v1/backtests/{RUN}:watch", headers=headers)
    assert reply.status_code == 200
    lines = [json.loads(line) for line in reply.text.splitlines() if line]
    assert [line["cursor"] for line in lines] == ["c0", "c1", "c2"]


async def test_gw_06_error_details(gate: Gate) -> None:
    """A service's error arrives whole: code, reason, metadata, fields."""
    headers = await gate.headers()
    reply = await gate.rest.get("/v1/strategies/missing", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (404, 5)
    assert reply.json()["details"][0]["metadata"] == {"strategy_id": "missing"}
    reply = await gate.rest.post("/v1/strategies", headers=headers, json={"strategyId": "NO"})
    assert (reply.status_code, reason(reply)) == (400, "INVALID_FIELD")
    violations = reply.json()["details"][1]["fieldViolations"]
    assert {v["field"] for v in violations} == {"request_id", "strategy_id", "kind"}


async def test_gw_06_error_of_a_stream(gate: Gate) -> None:
    """A stream that is refused has the status of an error, not an error within a success."""
    reply = await gate.rest.get("/v1/backtests/x:watch", headers=await gate.headers())
    assert (reply.status_code, reason(reply)) == (400, "INVALID_FIELD")


async def test_gw_06_end_of_a_stream(gate: Gate) -> None:
    """How a stream ended is in its trailers: an error after the first message is not lost."""
    for first, status in (("1", b"0"), ("9", b"5")):
        run = first * 8 + RUN[8:]
        raw = await _raw(gate, f"/v1/backtests/{run}:watch")
        body, _, trailers = raw.rpartition(b"\r\n0\r\n")
        assert body.count(b'"cursor"') == 3
        assert b"grpc-status: " + status in trailers
    assert b"grpc-status-details-bin: " in trailers


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "expected"),
    [
        ("GET", "/v1/nothing", "", 404, "UNKNOWN_METHOD"),
        ("GET", "/", "", 404, "UNKNOWN_METHOD"),
        ("GET", "/v1/strategies/abc?nope=1", "", 400, "INVALID_FIELD"),
        ("GET", "/v1/strategies?page_size=many", "", 400, "INVALID_FIELD"),
        ("GET", "/v1/strategies?kind=NO_SUCH", "", 400, "INVALID_FIELD"),
        ("POST", "/v1/strategies", '{"kind": "x', 400, "INVALID_FIELD"),
        ("POST", "/v1/strategies", '{"nope": 1}', 400, "INVALID_FIELD"),
        ("POST", "/v1/strategies", "[]", 400, "INVALID_FIELD"),
        ("DELETE", "/v1/strategies", "", 404, "UNKNOWN_METHOD"),
    ],
)
async def test_gw_06_bad_requests(
    gate: Gate, verb: str, path: str, body: str, status: int, expected: str
) -> None:
    """What Envoy cannot read is refused in the same form, with the limits that hold."""
    reply = await gate.rest.request(verb, path, content=body, headers=await gate.headers())
    assert (reply.status_code, reason(reply)) == (status, expected), reply.text
    assert reply.headers["content-type"] == "application/json"
    assert "x-ratelimit-limit" in reply.headers


async def test_gw_06_large_bodies(gate: Gate) -> None:
    """Large requests reach the service, which says what is too long, by REST and by gRPC."""
    headers = await gate.headers()
    body = {"strategyId": "NO", "description": "x" * 6 * MB}
    reply = await gate.rest.post("/v1/strategies", headers=headers, json=body)
    assert reply.status_code == 400
    assert "description" in {v["field"] for v in reply.json()["details"][1]["fieldViolations"]}
    stub = await gate.stub(StrategyServiceStub)
    request = rpc.CreateStrategyRequest(description="x" * 6 * MB)
    fault = await failure(stub.CreateStrategy(request, metadata=tuple(headers.items())))
    assert "description" in fault.fields


async def test_gw_07_grpc_web(gate: Gate) -> None:
    """A browser's gRPC-Web call gets its message and its trailers."""
    headers = await gate.headers()
    frames = await grpc_web(gate, headers, rpc.GetStrategyRequest(strategy_id="abc"))
    reply = rpc.GetStrategyResponse.FromString(frames[0])
    assert reply.strategy.strategy_id == "abc"
    assert b"grpc-status:0" in frames[TRAILER].replace(b" ", b"")


async def test_gw_07_grpc_web_refusals(gate: Gate) -> None:
    """A refusal arrives with its details, Envoy's own and a service's."""
    request = rpc.GetStrategyRequest(strategy_id="missing")
    for headers, code in (({}, 16), (await gate.headers("data.read"), 7)):
        details = await _refusal(gate, headers, request)
        assert (details.code, len(details.details)) == (code, 1)
    assert (await _refusal(gate, await gate.headers(), request)).code == 5


async def test_gw_07_cors(gate: Gate) -> None:
    """A browser of a listed origin may call and read the reply's headers; another may not."""
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-grpc-web"}
    for path in (GRPC_WEB, "/v1/strategies"):
        reply = await gate.rest.options(path, headers={"origin": ORIGIN, **asks})
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert "x-grpc-web" in reply.headers["access-control-allow-headers"]
        reply = await gate.rest.options(path, headers={"origin": "https://evil.example", **asks})
        assert "access-control-allow-origin" not in reply.headers
    headers = {"origin": ORIGIN, **(await gate.headers())}
    reply = await gate.rest.get("/v1/strategies/abc", headers=headers)
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "x-ratelimit-remaining" in reply.headers["access-control-expose-headers"]


async def _raw(gate: Gate, path: str) -> bytes:
    """Return all that comes on a connection for a request: httpx does not show trailers."""
    headers = {"host": "gate", "connection": "close", **(await gate.headers())}
    lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    host, _, port = gate.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join(lines).encode())
    reply = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return reply


async def grpc_web(gate: Gate, headers: dict[str, str], request: Any) -> dict[int, bytes]:
    """Make a gRPC-Web call; return its frames by their flag."""
    reply = await _post(gate, headers, request)
    assert reply.status_code == 200
    frames, rest = {}, reply.content
    while rest:
        length = int.from_bytes(rest[1:5], "big")
        frames[rest[0]], rest = rest[5 : 5 + length], rest[5 + length :]
    return frames


async def _refusal(gate: Gate, headers: dict[str, str], request: Any) -> status_pb2.Status:
    reply = await _post(gate, headers, request)
    text = reply.headers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(text + "=" * (-len(text) % 4)))
    assert reply.headers["grpc-status"] == str(status.code)
    return status


async def _post(gate: Gate, headers: dict[str, str], request: Any) -> httpx.Response:
    message = request.SerializeToString()
    return await gate.rest.post(
        GRPC_WEB,
        headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1", **headers},
        content=b"\0" + len(message).to_bytes(4, "big") + message,
    )
