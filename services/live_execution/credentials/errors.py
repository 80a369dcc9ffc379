"""Errors about credentials, one class per reason. None of them holds a secret."""

from meshkit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable


class CredentialNotFound(NotFound):
    """No such credential in the project."""

    reason = "CREDENTIAL_NOT_FOUND"


class CredentialExists(AlreadyExists):
    """The project has a credential of this id."""

    reason = "CREDENTIAL_EXISTS"


class CredentialInvalid(InvalidArgument):
    """The adapter has no such secret, or one that it needs is missing."""

    reason = "CREDENTIAL_INVALID"


class CredentialExpired(FailedPrecondition):
    """The credential has expired."""

    reason = "CREDENTIAL_EXPIRED"


class CredentialInUse(FailedPrecondition):
    """A trader names the credential."""

    reason = "CREDENTIAL_IN_USE"


class CredentialElsewhere(InvalidArgument):
    """A spec gives an adapter the credential of another one; violations name the field."""

    reason = "TRADER_SPEC_INVALID"


class CredentialSealed(Unavailable):
    """No key that is here opens the credential."""

    reason = "SERVICE_UNAVAILABLE"


def no_credential(credential_id: str) -> CredentialNotFound:
    """Return the error for an id that the project does not have."""
    return CredentialNotFound(
        f"The project has no credential '{credential_id}'. See ListCredentials.",
        metadata={"credential_id": credential_id},
    )
