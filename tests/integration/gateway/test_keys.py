"""API keys and tokens (GW-01 to GW-03)."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from integration.failures import failure
from integration.gateway.conftest import Gate
from mesh.gateway.v1 import auth_service_pb2 as rpc
from mesh.gateway.v1.auth_service_pb2_grpc import AuthServiceStub
from services.gateway.domain import ALL_SCOPES, Secret


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a token."""
    return (("authorization", f"Bearer {token}"),)


async def make(gate: Gate, token: str = "", **fields: Any) -> rpc.CreateApiKeyResponse:
    """Make a key; by the admin, with the scope ``data.read``, unless told otherwise."""
    auth = await gate.stub(AuthServiceStub)
    request = rpc.CreateApiKeyRequest(
        **{"request_id": str(uuid.uuid4()), "scopes": ["data.read"], **fields}
    )
    reply: rpc.CreateApiKeyResponse = await auth.CreateApiKey(
        request, metadata=bearer(token or await gate.token())
    )
    return reply


async def test_gw_01_a_key_becomes_a_token(gate: Gate) -> None:
    """The token of a key says whose it is, what it may do and where, and when it ends."""
    auth = await gate.stub(AuthServiceStub)
    made = await make(gate, subject="web", scopes=["data.read", "backtest.run"])
    token = await auth.ExchangeApiKey(rpc.ExchangeApiKeyRequest(api_key=made.secret))
    who = await auth.WhoAmI(rpc.WhoAmIRequest(), metadata=bearer(token.token))
    assert (who.subject, list(who.projects)) == ("web", ["default"])
    assert list(who.scopes) == ["backtest.run", "data.read"]
    assert who.expire_time == token.expire_time
    assert 0 < token.expire_time.seconds - datetime.now(UTC).timestamp() <= 300


async def test_gw_01_a_token_can_ask_for_less(gate: Gate) -> None:
    """A token of some scopes holds no others; scopes that the key lacks are refused."""
    auth = await gate.stub(AuthServiceStub)
    token = await gate.token("data.read")
    who = await auth.WhoAmI(rpc.WhoAmIRequest(), metadata=bearer(token))
    assert list(who.scopes) == ["data.read"]
    made = await make(gate)
    asked = rpc.ExchangeApiKeyRequest(api_key=made.secret, scopes=["auth.admin"])
    fault = await failure(auth.ExchangeApiKey(asked))
    assert (fault.reason, fault.metadata) == ("SCOPE_MISSING", {"scope": "auth.admin"})


@pytest.mark.parametrize("text", ["x", "nm_1_2", "nm_" + "0" * 16 + "_" + "0" * 64])
async def test_gw_02_malformed_and_unknown(gate: Gate, text: str) -> None:
    """What is no key, and what might have been one, get the same answer."""
    auth = await gate.stub(AuthServiceStub)
    fault = await failure(auth.ExchangeApiKey(rpc.ExchangeApiKeyRequest(api_key=text)))
    assert (fault.code, fault.reason) == ("UNAUTHENTICATED", "API_KEY_INVALID")


async def test_gw_02_wrong_secret(gate: Gate) -> None:
    """Who does not know the secret does not learn that the key exists, nor that it was revoked."""
    auth = await gate.stub(AuthServiceStub)
    made = await make(gate)
    guess = Secret(made.api_key.api_key_id, "0" * 64).text()
    before = await failure(auth.ExchangeApiKey(rpc.ExchangeApiKeyRequest(api_key=guess)))
    await _revoke(gate, made.api_key.api_key_id)
    after = await failure(auth.ExchangeApiKey(rpc.ExchangeApiKeyRequest(api_key=guess)))
    assert before == after
    assert before.reason == "API_KEY_INVALID"


async def test_gw_02_revoked(gate: Gate) -> None:
    """A revoked key gives no more tokens, and revoking it again changes nothing."""
    auth = await gate.stub(AuthServiceStub)
    made = await make(gate)
    first = await _revoke(gate, made.api_key.api_key_id)
    again = await _revoke(gate, made.api_key.api_key_id)
    assert first.api_key.revoke_time == again.api_key.revoke_time
    fault = await failure(auth.ExchangeApiKey(rpc.ExchangeApiKeyRequest(api_key=made.secret)))
    assert (fault.code, fault.reason) == ("UNAUTHENTICATED", "API_KEY_REVOKED")
    assert fault.metadata == {"api_key_id": made.api_key.api_key_id}


async def test_gw_02_expired(gate: Gate, database_url: str) -> None:
    """A key past its time gives no more tokens; a token never outlives its key."""
    auth = await gate.stub(AuthServiceStub)
    soon = Timestamp()
    soon.FromDatetime(datetime.now(UTC) + timedelta(seconds=90))
    made = await make(gate, expire_time=soon)
    exchange = rpc.ExchangeApiKeyRequest(api_key=made.secret)
    token = await auth.ExchangeApiKey(exchange)
    assert token.expire_time.seconds <= soon.seconds
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE gateway.api_keys SET expire_time = now() WHERE api_key_id = $1",
        made.api_key.api_key_id,
    )
    await connection.close()
    fault = await failure(auth.ExchangeApiKey(exchange))
    assert (fault.code, fault.reason) == ("UNAUTHENTICATED", "API_KEY_EXPIRED")


async def test_gw_03_shown_once_and_kept_hashed(gate: Gate, database_url: str) -> None:
    """A repetition has no secret and says so; nothing in the database holds it."""
    request_id = str(uuid.uuid4())
    first = await make(gate, request_id=request_id)
    again = await make(gate, request_id=request_id)
    assert (bool(first.secret), first.secret_shown) == (True, False)
    assert (again.secret, again.secret_shown) == ("", True)
    assert again.api_key == first.api_key
    secret = first.secret.rpartition("_")[2]
    connection = await asyncpg.connect(database_url)
    rows = [
        *await connection.fetch("SELECT * FROM gateway.api_keys"),
        *await connection.fetch("SELECT * FROM gateway.requests"),
    ]
    await connection.close()
    assert rows
    assert secret not in repr(rows)


async def test_gw_03_no_more_than_its_maker(gate: Gate) -> None:
    """A key cannot be given scopes or projects that its maker does not hold."""
    auth = await gate.stub(AuthServiceStub)
    token = await gate.token("auth.admin")

    def asked(**fields: Any) -> Any:
        request = rpc.CreateApiKeyRequest(request_id=str(uuid.uuid4()), **fields)
        return auth.CreateApiKey(request, metadata=bearer(token))

    fault = await failure(asked(scopes=["auth.admin", "data.read"]))
    assert (fault.reason, fault.metadata) == ("SCOPE_MISSING", {"scope": "data.read"})
    fault = await failure(asked(scopes=["auth.admin"], projects=["other"]))
    assert (fault.reason, fault.metadata) == ("PROJECT_FORBIDDEN", {"project": "other"})
    fault = await failure(asked(scopes=["auth.admin"], project="other"))
    assert fault.reason == "PROJECT_FORBIDDEN"
    fault = await failure(asked(scopes=[]))
    assert (fault.reason, list(fault.fields)) == ("INVALID_FIELD", ["scopes"])


async def test_gw_03_listed_in_pages(gate: Gate) -> None:
    """Keys are listed by age over pages, without a secret."""
    auth = await gate.stub(AuthServiceStub)
    metadata = bearer(await gate.token())
    made = [(await make(gate)).api_key.api_key_id for _ in range(3)]
    seen: list[str] = []
    token, pages = "", 0
    while token or not pages:
        request = rpc.ListApiKeysRequest(page_size=2, page_token=token)
        reply = await auth.ListApiKeys(request, metadata=metadata)
        seen += [key.api_key_id for key in reply.api_keys]
        token, pages = reply.next_page_token, pages + 1
    assert (pages, seen[1:]) == (2, made)
    damaged = rpc.ListApiKeysRequest(page_token="x")
    assert (await failure(auth.ListApiKeys(damaged, metadata=metadata))).reason == (
        "INVALID_PAGE_TOKEN"
    )


async def test_gw_03_of_another_project(gate: Gate, database_url: str) -> None:
    """A key of another project is NOT_FOUND, to read and to revoke."""
    auth = await gate.stub(AuthServiceStub)
    made = await make(gate)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE gateway.api_keys SET project = 'other' WHERE api_key_id = $1",
        made.api_key.api_key_id,
    )
    await connection.close()
    metadata = bearer(await gate.token())
    get = rpc.GetApiKeyRequest(api_key_id=made.api_key.api_key_id)
    revoke = rpc.RevokeApiKeyRequest(
        request_id=str(uuid.uuid4()), api_key_id=made.api_key.api_key_id
    )
    for call in (
        auth.GetApiKey(get, metadata=metadata),
        auth.RevokeApiKey(revoke, metadata=metadata),
    ):
        fault = await failure(call)
        assert (fault.code, fault.reason) == ("NOT_FOUND", "API_KEY_NOT_FOUND")


def test_gw_03_the_first_key_holds_every_scope() -> None:
    """The scopes of the first key are those that the contracts name."""
    from services.gateway.envoy.contracts import methods

    declared = [scope for m in methods() for scope in (m.rule.scope, *m.rule.conditional_scopes)]
    assert set(filter(None, declared)) == set(ALL_SCOPES)


async def _revoke(gate: Gate, api_key_id: str) -> Any:
    auth = await gate.stub(AuthServiceStub)
    request = rpc.RevokeApiKeyRequest(request_id=str(uuid.uuid4()), api_key_id=api_key_id)
    return await auth.RevokeApiKey(request, metadata=bearer(await gate.token()))
