"""What goes wrong behind the gateway, and what it keeps to itself (GW-08 to GW-10)."""

import datetime
import json
import ssl
import stat
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from integration.failures import failure
from integration.gateway.conftest import Gate, Open, until
from mesh.marketdata.v1 import history_service_pb2 as history_rpc
from mesh.marketdata.v1.history_service_pb2_grpc import HistoryServiceStub
from mesh.strategy.v1 import strategy_service_pb2 as rpc
from mesh.strategy.v1.strategy_service_pb2_grpc import StrategyServiceStub
from meshkit import rules
from services.gateway.envoy import Tls, routes

ENDLESS = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "method",
    [
        "/mesh.strategy.v1.StrategyService/Nope",
        "/foo.Bar/Baz",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_gw_08_unknown_method(gate: Gate, method: str) -> None:
    """A method that the contracts do not name goes nowhere."""
    async with grpc.aio.insecure_channel(gate.address) as to:
        call: Any = to.unary_unary(method)
        fault = await failure(call(b"", metadata=tuple((await gate.headers()).items())))
    assert (fault.code, fault.reason) == ("UNIMPLEMENTED", "UNKNOWN_METHOD")


async def test_gw_08_service_that_never_started(gate: Gate) -> None:
    """A service that is not there is named, and callers are told when to come back."""
    headers = await gate.headers()
    stub = await gate.stub(HistoryServiceStub)
    request = history_rpc.ListCoverageRequest()
    fault = await failure(stub.ListCoverage(request, metadata=tuple(headers.items())))
    assert (fault.code, fault.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
    assert (fault.metadata, fault.retry_after) == ({"service": "market-data"}, 1.0)
    reply = await gate.rest.get("/v1/data/coverage", headers=headers)
    assert reply.status_code == 503
    assert reply.json()["details"][0]["metadata"] == {"service": "market-data"}


async def test_gw_08_service_that_stops(gate: Gate) -> None:
    """When a service stops its calls are typed refusals, and the other services go on."""
    headers = await gate.headers()
    await gate.behind["strategy"].drain()
    reply = await gate.rest.get("/v1/strategies/abc", headers=headers)
    assert reply.status_code == 503
    assert reply.json()["details"][0]["metadata"] == {"service": "strategy"}
    assert (await gate.rest.get("/v1/auth/whoami", headers=headers)).status_code == 200


async def test_gw_08_call_without_end(open_gate: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that its service does not end is ended by Envoy, as the deadline that it is."""
    monkeypatch.setattr(routes, "GRACE_SECONDS", 0.5 - rules.MAXIMUM_DEADLINE_MS / 1000)
    async with open_gate() as gate:
        headers = await gate.headers()
        stub = await gate.stub(StrategyServiceStub)
        request = rpc.GetStrategyRequest(strategy_id="slow")
        fault = await failure(stub.GetStrategy(request, metadata=tuple(headers.items())))
        assert (fault.code, fault.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
        reply = await gate.rest.get("/v1/strategies/slow", headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (504, 4)


async def test_gw_08_retry(gate: Gate) -> None:
    """A read that a service could not answer at once is tried again, unseen by its caller."""
    stub = await gate.stub(StrategyServiceStub)
    metadata = tuple((await gate.headers()).items())
    await stub.GetStrategy(rpc.GetStrategyRequest(strategy_id="flaky"), metadata=metadata)
    assert gate.strategies.calls == 2


async def test_gw_08_watch_ends_with_its_client(gate: Gate) -> None:
    """A watch reaches its client message by message, and ends behind the gateway when it goes."""
    headers = await gate.headers()
    async with gate.rest.stream("GET", f"/v1/backtests/{ENDLESS}:watch", headers=headers) as reply:
        lines = reply.aiter_lines()
        seen = [json.loads(await anext(lines))["cursor"] for _ in range(3)]
    assert seen == ["c0", "c1", "c2"]
    await until(gate.backtests.ended.is_set)


async def test_gw_09_identity_headers(gate: Gate) -> None:
    """Headers that claim an identity do not pass; the token does."""
    claims = {
        "x-mesh-subject": "root",
        "x-forwarded-user": "root",
        "x-auth-request-user": "root",
        "x-jwt-payload": "root",
        "x-plain": "kept",
    }
    headers = await gate.headers()
    reply = await gate.rest.get("/v1/strategies/abc", headers=headers | claims)
    seen = json.loads(reply.json()["strategy"]["description"])
    assert "root" not in seen.values()
    assert (seen["x-plain"], seen["authorization"]) == ("kept", headers["authorization"])


async def test_gw_09_request_id(gate: Gate) -> None:
    """A request id is kept when the client sent one and made when not, for refusals too."""
    headers = await gate.headers()
    sent = {"x-request-id": "mine-1"}
    reply = await gate.rest.get("/v1/strategies/abc", headers=headers | sent)
    assert reply.headers["x-request-id"] == "mine-1"
    assert json.loads(reply.json()["strategy"]["description"])["x-request-id"] == "mine-1"
    made = {(await gate.rest.get("/v1/nothing")).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2


async def test_gw_09_logs_hold_no_secret(gate: Gate, capfd: pytest.CaptureFixture[str]) -> None:
    """Access log, Envoy's log and the auth service's log know who called, not with what."""
    token = await gate.token()
    headers = {"authorization": f"Bearer {token}", "x-request-id": "last-one"}
    await gate.rest.post("/v1/auth:exchange", json={"api_key": gate.admin_key})
    await gate.rest.get(f"/v1/nothing?access_token={token}", headers=headers)
    await gate.rest.get("/v1/strategies/abc", headers=headers)
    log = await gate.logged('"method":"/mesh.strategy.v1.StrategyService/GetStrategy"')
    entry = json.loads([line for line in log.splitlines() if line][-1])
    assert (entry["subject"], entry["request_id"], entry["code"]) == ("admin", "last-one", 200)
    told = log + (gate.folder / "envoy.log").read_text() + "".join(capfd.readouterr())
    assert token not in told
    assert gate.admin_key.rpartition("_")[2] not in told


async def test_gw_10_admin_socket(gate: Gate) -> None:
    """The admin interface is a socket that only its owner can open."""
    mode = (gate.folder / "admin.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_gw_10_status_port(gate: Gate) -> None:
    """Of the admin interface the status port serves two pages, to read."""
    async with httpx.AsyncClient(base_url=f"http://{gate.status}") as client:
        assert (await client.get("/ready")).text.strip() == "LIVE"
        assert "envoy_cluster_upstream_rq" in (await client.get("/stats/prometheus")).text
        for path in ("/", "/config_dump", "/quitquitquit", "/ready/", "/stats"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post("/quitquitquit")).status_code == 404
        assert (await client.post("/ready")).status_code == 404


async def test_gw_10_tls(open_gate: Open, tmp_path: Path) -> None:
    """With a certificate the gateway speaks TLS, gRPC and REST."""
    tls = _certificate(tmp_path)
    async with open_gate(tls=tls) as gate:
        root = Path(tls.certificate).read_bytes()
        credentials = grpc.ssl_channel_credentials(root)
        async with grpc.aio.secure_channel(
            gate.address.replace("127.0.0.1", "localhost"), credentials
        ) as to:
            stub: Any = StrategyServiceStub(to)
            fault = await failure(stub.GetStrategy(rpc.GetStrategyRequest(strategy_id="abc")))
            assert fault.reason == "TOKEN_MISSING"
        trust = ssl.create_default_context(cafile=tls.certificate)
        port = gate.address.rpartition(":")[2]
        async with httpx.AsyncClient(verify=trust) as client:
            reply = await client.get(f"https://localhost:{port}/v1/info")
            assert reply.json()["version"]


def _certificate(folder: Path) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(private)
    return Tls(str(folder / "tls.crt"), str(folder / "tls.key"))
