"""Why an adapter or its config cannot be used."""

from meshkit.errors import FailedPrecondition, InvalidArgument, NotFound


class VenueNotFound(NotFound):
    """No adapter or plug-in has the name."""

    reason = "VENUE_NOT_FOUND"


class VenueExtraMissing(FailedPrecondition):
    """The adapter needs packages that are not installed."""

    reason = "VENUE_EXTRA_MISSING"


class VenueWithoutData(FailedPrecondition):
    """The adapter gives no market data."""

    reason = "VENUE_WITHOUT_DATA"


class VenueWithoutOrders(FailedPrecondition):
    """The adapter takes no orders."""

    reason = "VENUE_WITHOUT_ORDERS"


class SecretInConfig(InvalidArgument):
    """A config holds a secret."""

    reason = "SECRET_IN_CONFIG"


class VenueBroken(FailedPrecondition):
    """The plug-in or adapter cannot be used."""

    reason = "VENUE_BROKEN"


class VenueCredentialMissing(FailedPrecondition):
    """The secrets that were given lack one without which the venue does nothing."""

    reason = "VENUE_CREDENTIAL_MISSING"
