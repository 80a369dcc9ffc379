"""Which credentials a trader's spec names, and whether it may."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from mesh.execution.v1.trader_pb2 import LiveVenue, TraderSpec
from meshkit.errors import FieldViolation
from services.live_execution.credentials.errors import CredentialElsewhere, no_credential
from services.live_execution.credentials.store import CredentialStore

_store = CredentialStore()


def accounts(spec: TraderSpec) -> Iterator[tuple[str, LiveVenue]]:
    """Yield the place and the account of each real venue that a spec reaches, data included."""
    for index, venue in enumerate(spec.venues):
        if venue.HasField("live"):
            yield f"spec.venues[{index}].live", venue.live
    for index, client in enumerate(spec.data.venue.clients):
        yield f"spec.data.venue.clients[{index}]", client


def named(spec: TraderSpec) -> set[str]:
    """Return the ids of the credentials that a spec names."""
    return {account.credential_id for _, account in accounts(spec) if account.credential_id}


async def check(tx: Any, project: str, spec: TraderSpec) -> None:
    """Raise unless every credential that a spec names is there, alive and of the same adapter.

    Call it in the transaction that stores or starts the trader: until that ends, nobody deletes
    one of them. Raises ``CredentialNotFound``, ``CredentialExpired``, ``CredentialElsewhere``.
    """
    for place, account in accounts(spec):
        if not account.credential_id:
            continue
        found = await _store.find(tx, project, account.credential_id, lock="SHARE")
        if found is None:
            raise no_credential(account.credential_id)
        if found.adapter != account.adapter:
            text = (
                f"names '{found.credential_id}', which holds the secrets of {found.adapter}, "
                f"not of {account.adapter}"
            )
            where = f"{place}.credential_id"
            raise CredentialElsewhere(f"{where} {text}", violations=[FieldViolation(where, text)])
        found.check_alive(datetime.now(UTC))
