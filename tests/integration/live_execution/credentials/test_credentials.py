"""The credential service over gRPC, with a real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration.failures import failure
from integration.live_execution.credentials.conftest import (
    SECRETS,
    Served,
    creation,
    new_id,
    spec_naming,
)
from mesh.execution.v1 import credential_service_pb2 as rpc
from meshkit.errors import MeshError
from services.live_execution.credentials import check


def _update(credential_id: str = "main", **more: Any) -> rpc.UpdateCredentialRequest:
    values: dict[str, Any] = {"secrets": {"api_key": "n", "api_secret": "w"}}
    return rpc.UpdateCredentialRequest(
        request_id=new_id(), credential_id=credential_id, **{**values, **more}
    )


def _delete(credential_id: str = "main") -> rpc.DeleteCredentialRequest:
    return rpc.DeleteCredentialRequest(request_id=new_id(), credential_id=credential_id)


async def test_ex_190_a_credential_is_made_read_rotated_and_deleted(served: Served) -> None:
    """EX-190: what is told of a credential is everything but its secrets."""
    asked = creation()
    made = (await served.stub.CreateCredential(asked)).credential
    assert list(made.secret_fields) == ["api_key", "api_secret"]
    assert (made.meta.owner, made.meta.project) == ("tester", "default")
    assert (await served.stub.CreateCredential(asked)).credential == made
    wanted = rpc.GetCredentialRequest(credential_id="main")
    assert (await served.stub.GetCredential(wanted)).credential == made
    taken = await failure(served.stub.CreateCredential(creation()))
    assert (taken.code, taken.reason) == ("ALREADY_EXISTS", "CREDENTIAL_EXISTS")
    late = await failure(served.stub.UpdateCredential(_update(etag="1")))
    assert (late.code, late.reason) == ("ABORTED", "ETAG_MISMATCH")
    changed = (await served.stub.UpdateCredential(_update(etag=made.meta.etag))).credential
    assert changed.HasField("rotated_time")
    assert not made.HasField("rotated_time")
    assert changed.meta.etag != made.meta.etag
    await served.stub.DeleteCredential(_delete())
    for call in (
        served.stub.GetCredential(wanted),
        served.stub.UpdateCredential(_update()),
        served.stub.DeleteCredential(_delete()),
    ):
        gone = await failure(call)
        assert (gone.code, gone.reason) == ("NOT_FOUND", "CREDENTIAL_NOT_FOUND")


async def test_ex_190_the_same_request_with_another_secret(served: Served) -> None:
    """EX-190: a request id with another secret is told apart, though none is kept to compare."""
    asked = creation()
    await served.stub.CreateCredential(asked)
    asked.secrets["api_key"] = "another"
    reused = await failure(served.stub.CreateCredential(asked))
    assert reused.reason == "REQUEST_ID_REUSED"


async def test_ex_191_lists_page_and_projects_are_apart(served: Served) -> None:
    """EX-191: credentials come by id in pages; another project sees and changes nothing."""
    for each in ("c", "a", "b"):
        await served.stub.CreateCredential(creation(each))
    first = await served.stub.ListCredentials(rpc.ListCredentialsRequest(page_size=2))
    assert [each.credential_id for each in first.credentials] == ["a", "b"]
    rest = rpc.ListCredentialsRequest(page_size=2, page_token=first.next_page_token)
    second = await served.stub.ListCredentials(rest)
    assert [each.credential_id for each in second.credentials] == ["c"]
    assert second.next_page_token == ""
    stranger = await served.as_caller(projects=["other"])
    assert not (await stranger.ListCredentials(rpc.ListCredentialsRequest())).credentials
    hidden = await failure(stranger.GetCredential(rpc.GetCredentialRequest(credential_id="a")))
    assert hidden.reason == "CREDENTIAL_NOT_FOUND"
    assert (await failure(stranger.DeleteCredential(_delete("a")))).code == "NOT_FOUND"
    reader = await served.as_caller("credential.read", "data.read")
    assert (await failure(reader.CreateCredential(creation("d")))).reason == "SCOPE_MISSING"


BAD: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {"secrets": {"api_key": "k", "api_sekret": "s"}},
        "CREDENTIAL_INVALID",
        "api_sekret",
        "secrets",
    ),
    (
        {"secrets": {"password": "p"}, "adapter": "BETFAIR"},
        "CREDENTIAL_INVALID",
        "app_key",
        "secrets",
    ),
    ({"secrets": {"api_key": "k"}}, "CREDENTIAL_INVALID", "api_secret", "secrets"),
    ({"adapter": "BINANZ"}, "VENUE_NOT_FOUND", "", ""),
    ({"secrets": {}}, "INVALID_FIELD", "", "secrets"),
    ({"credential_id": "Not an id"}, "INVALID_FIELD", "", "credential_id"),
    ({"expire_time": {"seconds": 1}}, "INVALID_FIELD", "", "expire_time"),
]


@pytest.mark.parametrize(("change", "reason", "field", "place"), BAD)
async def test_ex_192_bad_input(
    served: Served, change: dict[str, Any], reason: str, field: str, place: str
) -> None:
    """EX-192: a secret that the adapter does not know or misses, or a bad field, is named."""
    got = await failure(served.stub.CreateCredential(creation(**{"credential_id": "x", **change})))
    assert got.reason == reason
    assert got.metadata.get("field", "") == field
    assert not place or any(each.startswith(place) for each in got.fields)


async def test_ex_192_who_swaps_name_and_secret(served: Served) -> None:
    """EX-192: a secret that was sent as the name of a field is not repeated in the refusal."""
    swapped = {value: name for name, value in SECRETS.items()}
    got = await failure(served.stub.CreateCredential(creation(secrets=swapped)))
    assert got.reason == "CREDENTIAL_INVALID"
    assert not any(secret in str(got) for secret in SECRETS.values())


async def test_ex_193_one_that_is_in_use_stays(served: Served) -> None:
    """EX-193: a credential that a trader names is not deleted, also one that is just being made."""
    for each in ("main", "soon"):
        await served.stub.CreateCredential(creation(each))
    await served.trader("EMA-001", spec_naming("main"))
    used = await failure(served.stub.DeleteCredential(_delete()))
    assert (used.reason, used.metadata["trader_id"]) == ("CREDENTIAL_IN_USE", "EMA-001")
    async with served.database.transaction() as tx:
        await check(tx, "default", spec_naming("soon"))
        deleting = asyncio.ensure_future(served.stub.DeleteCredential(_delete("soon")))
        await _until_waiting(served)
        await tx.execute(
            "INSERT INTO traders (project, trader_id, owner, spec, inputs, real)"
            " VALUES ('default', 'EMA-002', 'tester', $1, '{}', true)",
            spec_naming("soon").SerializeToString(),
        )
    assert (await failure(deleting)).metadata["trader_id"] == "EMA-002"


async def _until_waiting(served: Served) -> None:
    """Wait until somebody waits for a lock of ours."""
    async with asyncio.timeout(20):
        while True:
            async with served.database.connection() as tx:
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                if await tx.fetchval(waiting):
                    return
            await asyncio.sleep(0.01)


async def test_ex_194_what_a_spec_names_is_checked(served: Served) -> None:
    """EX-194: a trader is refused a credential that is not there, expired, or another adapter's."""
    await served.stub.CreateCredential(creation())

    async def refusal(**more: Any) -> MeshError:
        with pytest.raises(MeshError) as caught:
            async with served.database.transaction() as tx:
                await check(tx, "default", spec_naming(**more) if more else spec_naming("nope"))
        return caught.value

    async with served.database.transaction() as tx:
        await check(tx, "default", spec_naming("main", ""))
    assert (await refusal()).reason == "CREDENTIAL_NOT_FOUND"
    await served.expire("main")
    with pytest.raises(MeshError) as expired:
        async with served.database.transaction() as tx:
            await check(tx, "default", spec_naming("main"))
    assert expired.value.reason == "CREDENTIAL_EXPIRED"
    with pytest.raises(MeshError) as other:
        async with served.database.transaction() as tx:
            await check(tx, "default", spec_naming("main", adapter="BETFAIR"))
    assert other.value.violations[0].field == "spec.venues[0].live.credential_id"


async def test_ex_195_secrets_go_to_the_holder_of_the_lease(served: Served) -> None:
    """EX-195: the current lease and a spec that names it open a credential; nothing else does."""
    for each in ("main", "other"):
        await served.stub.CreateCredential(creation(each))
    await served.trader("EMA-001", spec_naming("main"), fence=7)
    await served.trader("EMA-002", spec_naming("main"), fence=3, lease=-1)
    assert await served.vault.hand_over("default", "EMA-001", 7, "main") == SECRETS
    refused = [
        (("default", "EMA-001", 6, "main"), "STALE_FENCE"),
        (("default", "EMA-001", 8, "main"), "STALE_FENCE"),
        (("default", "EMA-002", 3, "main"), "STALE_FENCE"),  # its lease has ended
        (("other", "EMA-001", 7, "main"), "STALE_FENCE"),
        (("default", "NOBODY-1", 7, "main"), "STALE_FENCE"),
        (("default", "EMA-001", 7, "other"), "CREDENTIAL_NOT_FOUND"),  # not in its spec
        (("default", "EMA-001", 7, "nope"), "CREDENTIAL_NOT_FOUND"),
    ]
    for asked, reason in refused:
        with pytest.raises(MeshError) as caught:
            await served.vault.hand_over(*asked)
        assert caught.value.reason == reason, asked
    rotated = {"api_key": "new", "api_secret": "er"}
    later = datetime.now(UTC) + timedelta(days=1)
    await served.stub.UpdateCredential(_update(secrets=rotated, expire_time=later))
    assert await served.vault.hand_over("default", "EMA-001", 7, "main") == rotated
    await served.expire("main")
    with pytest.raises(MeshError) as caught:
        await served.vault.hand_over("default", "EMA-001", 7, "main")
    assert caught.value.reason == "CREDENTIAL_EXPIRED"
