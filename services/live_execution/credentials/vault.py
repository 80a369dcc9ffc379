"""Seals secrets, opens them for the holder of a lease, and moves them to new keys."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from mesh.execution.v1.trader_pb2 import TraderSpec
from meshkit.config import ConfigError
from meshkit.database import Connection, Database
from meshkit.facts import StaleFence
from services.live_execution.credentials.domain import Credential
from services.live_execution.credentials.errors import CredentialSealed, no_credential
from services.live_execution.credentials.keys import CannotOpen, Keys, KeySource
from services.live_execution.credentials.naming import named
from services.live_execution.credentials.store import CredentialStore

log = logging.getLogger("live_execution.credentials")


class Vault:
    """The one place where a secret is not sealed, and only for the length of a call."""

    def __init__(self, database: Database, source: KeySource) -> None:
        self._database = database
        self._source = source
        self._store = CredentialStore()

    async def verify(self) -> int:
        """Open every credential, and seal anew those of old keys; return how many that were.

        Makes the file of keys when neither it nor a credential is there. Raises ``ConfigError``
        when a credential cannot be opened: the service would fail at the worst moment.
        """
        async with self._database.transaction() as tx:
            if self._source.missing():
                if await self._store.any(tx):
                    raise ConfigError([f"{self._source.name} is not there. {self._way_out()}"])
                self._source.make()
            return await self._reseal(tx, self._source.current())

    async def rotate(self) -> tuple[Keys, int]:
        """Make a new key, seal everything with it; return the keys and how many were sealed.

        Old keys leave the file at the rotation after the one that replaced them.
        """
        async with self._database.transaction() as tx:
            used = {row.key_id for row in await self._store.all(tx)}
            keys = self._source.renew(keep=used)
            return keys, await self._reseal(tx, keys)

    def seal(self, credential: Credential, secrets: Mapping[str, str]) -> Credential:
        """Return the credential with these secrets."""
        text = json.dumps(dict(secrets)).encode()
        key, sealed = self._keys().seal(text, credential.bound_to)
        names = tuple(sorted(secrets))
        return replace(credential, fields=names, key_id=key, sealed=sealed)

    def blind(self, text: str) -> str:
        """Return a digest of a secret for comparing, which tells nothing without the key."""
        return self._keys().blind(text.encode())

    async def hand_over(
        self, project: str, trader_id: str, fence: int, credential_id: str
    ) -> Mapping[str, str]:
        """Return the secrets by config field, to whom has proven to hold the trader's lease.

        Raises ``StaleFence`` when the lease is another's or has ended, ``CredentialNotFound``
        when the trader's spec does not name it, ``CredentialExpired``, ``CredentialSealed``.
        """
        async with self._database.transaction() as tx:
            spec = await self._store.leased_spec(tx, project, trader_id, fence)
            if spec is None:
                raise StaleFence(
                    f"Lease {fence} of {trader_id} is not in force, so it gets no secrets.",
                    metadata={"stream": trader_id, "fence": str(fence)},
                )
            found = None
            if credential_id in named(TraderSpec.FromString(spec)):
                found = await self._store.find(tx, project, credential_id)
        if found is None:
            raise no_credential(credential_id)
        found.check_alive(datetime.now(UTC))
        told = {"credential_id": credential_id, "trader_id": trader_id, "fence": fence}
        log.info("credential handed over", extra=told)
        return self._open(found)

    def _open(self, credential: Credential) -> Mapping[str, str]:
        try:
            text = self._keys().open(credential.key_id, credential.sealed, credential.bound_to)
        except CannotOpen as error:
            log.error("a credential is shut", extra={"credential_id": credential.credential_id})
            raise CredentialSealed(
                f"The credential '{credential.credential_id}' cannot be opened ({error}). Put back "
                "the key that sealed it, or rotate the credential with UpdateCredential.",
                metadata={"service": "live-execution"},
            ) from None
        secrets: dict[str, str] = json.loads(text)
        return secrets

    def _keys(self) -> Keys:
        try:
            return self._source.current()
        except ConfigError as error:
            log.error("the keys of credentials cannot be read", extra={"faults": error.faults})
            raise CredentialSealed(
                "The keys that seal credentials cannot be read. An operator has to mend that: "
                "the log of live-execution says how.",
                metadata={"service": "live-execution"},
            ) from None

    async def _reseal(self, tx: Connection, keys: Keys) -> int:
        count = 0
        for row in await self._store.all(tx):
            try:
                text = keys.open(row.key_id, row.sealed, row.bound_to)
            except CannotOpen as error:
                raise ConfigError(
                    [
                        f"{self._source.name} does not open credential '{row.credential_id}' of "
                        f"project '{row.project}': {error}. {self._way_out()}"
                    ]
                ) from None
            if row.key_id != keys.active:
                key, sealed = keys.seal(text, row.bound_to)
                await self._store.reseal(tx, replace(row, key_id=key, sealed=sealed))
                count += 1
        if count:
            log.info("credentials sealed anew", extra={"count": count, "key_id": keys.active})
        return count

    def _way_out(self) -> str:
        return (
            "Put back the keys that belong to this database, or delete those rows of "
            "live_execution.credentials and create them again."
        )
