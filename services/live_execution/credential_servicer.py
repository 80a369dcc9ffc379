"""RPC methods of the credential service."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mesh.execution.v1 import credential_service_pb2 as rpc
from mesh.execution.v1.credential_service_pb2_grpc import CredentialServiceServicer
from mesh.execution.v1.trader_pb2 import TraderSpec
from mesh.marketdata.v1.feed_service_pb2_grpc import FeedServiceStub
from meshkit.context import caller
from meshkit.database import Database
from meshkit.idempotency import once
from meshkit.paging import page
from services.live_execution.credentials import Vault, convert
from services.live_execution.credentials.domain import Credential, SecretFields, check_expire_time
from services.live_execution.credentials.errors import (
    CredentialExists,
    CredentialInUse,
    no_credential,
)
from services.live_execution.credentials.lookups import AdapterLookup
from services.live_execution.credentials.naming import named
from services.live_execution.credentials.store import CredentialStore


class CredentialServicer(CredentialServiceServicer):
    """Unpack, call, pack."""

    def __init__(self, database: Database, vault: Vault, feeds: FeedServiceStub) -> None:
        self._database = database
        self._vault = vault
        self._adapters = AdapterLookup(feeds)
        self._store = CredentialStore()

    async def CreateCredential(self, request: rpc.CreateCredentialRequest, _: Any) -> Any:
        """Check the secrets against the adapter, seal and store them."""
        project = caller().project(request.project)
        expire_time = _expire_time(request)

        async def prepare() -> SecretFields:
            check_expire_time(expire_time, datetime.now(UTC))
            fields = await self._adapters.secrets(request.adapter)
            fields.check(request.secrets)
            return fields

        async def work(tx: Any, fields: SecretFields) -> rpc.CreateCredentialResponse:
            new = Credential(
                project=project,
                credential_id=request.credential_id,
                owner=caller().subject,
                adapter=fields.adapter,
                fields=(),
                key_id="",
                sealed=b"",
                expire_time=expire_time,
            )
            made = await self._store.insert(tx, self._vault.seal(new, request.secrets))
            if made is None:
                raise CredentialExists(
                    f"The project has a credential '{request.credential_id}'. Update it, or choose "
                    "another id.",
                    metadata={"credential_id": request.credential_id},
                )
            return rpc.CreateCredentialResponse(credential=convert.credential(made))

        return await once(
            self._database,
            self._blinded(request),
            rpc.CreateCredentialResponse,
            work,
            prepare=prepare,
        )

    async def UpdateCredential(self, request: rpc.UpdateCredentialRequest, _: Any) -> Any:
        """Replace secrets and expiry."""
        project = caller().project(request.project)
        expire_time = _expire_time(request)

        async def prepare() -> None:
            check_expire_time(expire_time, datetime.now(UTC))
            async with self._database.connection() as tx:
                found = await self._find(tx, project, request.credential_id)
            (await self._adapters.secrets(found.adapter)).check(request.secrets)

        async def work(tx: Any, _: None) -> rpc.UpdateCredentialResponse:
            found = await self._find(tx, project, request.credential_id, lock="UPDATE")
            found.check_etag(request.etag)
            sealed = self._vault.seal(found, request.secrets)
            made = await self._store.update(tx, replace(sealed, expire_time=expire_time))
            return rpc.UpdateCredentialResponse(credential=convert.credential(made))

        return await once(
            self._database,
            self._blinded(request),
            rpc.UpdateCredentialResponse,
            work,
            prepare=prepare,
        )

    async def GetCredential(self, request: rpc.GetCredentialRequest, _: Any) -> Any:
        """Return a credential without its secrets."""
        project = caller().project(request.project)
        async with self._database.connection() as tx:
            found = await self._find(tx, project, request.credential_id)
        return rpc.GetCredentialResponse(credential=convert.credential(found))

    async def ListCredentials(self, request: rpc.ListCredentialsRequest, _: Any) -> Any:
        """Return credentials by id, without secrets."""
        who = caller()
        projects = (who.project(request.project),) if request.project else who.projects
        wanted = page(request, default=100, maximum=1000)
        async with self._database.connection() as tx:
            rows = await self._store.page(tx, projects, wanted.after, wanted.size + 1)
        rows, token = wanted.cut(rows, key=lambda row: (row.credential_id, row.project))
        return rpc.ListCredentialsResponse(
            credentials=[convert.credential(row) for row in rows], next_page_token=token
        )

    async def DeleteCredential(self, request: rpc.DeleteCredentialRequest, _: Any) -> Any:
        """Remove a credential that no trader names."""
        project = caller().project(request.project)

        async def work(tx: Any) -> rpc.DeleteCredentialResponse:
            # The lock comes first: a trader that is being made holds the row until it is seen here.
            found = await self._find(tx, project, request.credential_id, lock="UPDATE")
            for trader_id, spec in await self._store.specs(tx, project):
                if found.credential_id in named(TraderSpec.FromString(spec)):
                    raise CredentialInUse(
                        f"Trader {trader_id} names '{found.credential_id}'. Change or delete that "
                        "trader first.",
                        metadata={"credential_id": found.credential_id, "trader_id": trader_id},
                    )
            await self._store.delete(tx, project, found.credential_id)
            return rpc.DeleteCredentialResponse()

        return await once(self._database, request, rpc.DeleteCredentialResponse, work)

    async def _find(self, tx: Any, project: str, credential_id: str, lock: str = "") -> Credential:
        found = await self._store.find(tx, project, credential_id, lock=lock)
        if found is None:
            raise no_credential(credential_id)
        return found

    def _blinded(self, request: Any) -> Any:
        """Return the request as it is compared with a repetition: the table of requests must not
        hold a digest of secrets that guesses can be tried on.
        """
        blind = type(request)()
        blind.CopyFrom(request)
        secrets: Mapping[str, str] = request.secrets
        for name, value in secrets.items():
            blind.secrets[name] = self._vault.blind(value)
        return blind


def _expire_time(request: Any) -> datetime | None:
    if not request.HasField("expire_time"):
        return None
    expire_time: datetime = request.expire_time.ToDatetime(tzinfo=UTC)
    return expire_time
