"""Credentials: what they are, and what may be done with them."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

from meshkit.errors import EtagMismatch, FieldViolation, InvalidField
from services.live_execution.credentials.errors import CredentialExpired, CredentialInvalid

_WORDS = re.compile(r"[a-z]{1,20}(_[a-z]{1,20}){0,3}")
"""What the name of a field looks like. Anything else may be a secret in the wrong place."""


@dataclass(frozen=True)
class Credential:
    """Secrets of an account at a venue, sealed. ``fields`` are their names, sorted."""

    project: str
    credential_id: str
    owner: str
    adapter: str
    fields: tuple[str, ...]
    key_id: str
    sealed: bytes = field(repr=False)
    expire_time: datetime | None = None
    rotated_time: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def bound_to(self) -> bytes:
        """What the seal is bound to: a row that was moved or renamed in the database is shut."""
        return "\0".join((self.project, self.credential_id, self.adapter)).encode()

    @property
    def etag(self) -> str:
        """Changes with each change."""
        return str(int(self.update_time.timestamp() * 1_000_000)) if self.update_time else ""

    def check_etag(self, etag: str) -> None:
        """Raise ``EtagMismatch`` when the caller has read another state; empty does not compare."""
        if etag and etag != self.etag:
            raise EtagMismatch(
                "The credential was changed since it was read. Read it again and repeat.",
                metadata={"etag": self.etag},
            )

    def check_alive(self, now: datetime) -> None:
        """Raise ``CredentialExpired`` when its time is over."""
        if self.expire_time is not None and self.expire_time <= now:
            raise CredentialExpired(
                f"The credential '{self.credential_id}' has expired. Rotate it with "
                "UpdateCredential.",
                metadata={
                    "credential_id": self.credential_id,
                    "expire_time": self.expire_time.isoformat(),
                },
            )


@dataclass(frozen=True)
class SecretFields:
    """The secrets that an adapter takes, and those without which it does nothing."""

    adapter: str
    known: Collection[str]
    required: Collection[str]

    def check(self, given: Iterable[str]) -> None:
        """Raise ``CredentialInvalid`` for a name that it does not know, or one that is missing."""
        names = set(given)
        listed = ", ".join(sorted(self.known)) or "none"
        for name in sorted(names - set(self.known)):
            shown = name if _harmless(name, self.known) else ""
            told = f"'{shown}'" if shown else "A name that was given (it is not repeated here)"
            raise _invalid(
                shown, f"{told} is no secret of {self.adapter}. Its secrets are: {listed}."
            )
        for name in sorted(set(self.required) - names):
            raise _invalid(name, f"{self.adapter} needs '{name}' as well. Its secrets: {listed}.")


def check_expire_time(expire_time: datetime | None, now: datetime) -> None:
    """Raise ``InvalidField`` for an expiry that is over already."""
    if expire_time is not None and expire_time <= now:
        text = "must be in the future; leave it out for a credential that never expires"
        raise InvalidField(f"expire_time {text}", violations=[FieldViolation("expire_time", text)])


def _harmless(name: str, known: Collection[str]) -> bool:
    """Whether a name may be repeated: who swaps a name and its secret has sent a secret."""
    return bool(_WORDS.fullmatch(name) or get_close_matches(name, known, 1, 0.8))


def _invalid(field_name: str, message: str) -> CredentialInvalid:
    place = f"secrets[{field_name}]" if field_name else "secrets"
    return CredentialInvalid(
        message,
        metadata={"field": field_name},
        violations=[FieldViolation(place, message.partition(". ")[0])],
    )
