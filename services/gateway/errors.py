"""The auth service's errors, one class per reason."""

from meshkit.errors import NotFound, Unauthenticated


class ApiKeyInvalid(Unauthenticated):
    """Malformed, unknown, or with a wrong secret; the same words for all three."""

    reason = "API_KEY_INVALID"


class ApiKeyExpired(Unauthenticated):
    """Right, and past its time."""

    reason = "API_KEY_EXPIRED"


class ApiKeyRevoked(Unauthenticated):
    """Right, and revoked."""

    reason = "API_KEY_REVOKED"


class ApiKeyNotFound(NotFound):
    """No such key in the caller's projects."""

    reason = "API_KEY_NOT_FOUND"
