"""What adapters raise and log, in plain words and with a reason."""

import time
from typing import Any

import pytest

from services.market_data.engine.feed.troubles import trouble


class VenueApiError(Exception):
    """An error as adapters have it: with a status, a message and headers."""

    def __init__(self, status: int, message: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def test_nothing_went_wrong() -> None:
    """No error and no word of one is no trouble."""
    assert trouble(None, []) is None


@pytest.mark.parametrize(
    ("error", "noted", "reason", "message"),
    [
        (NotImplementedError("implement `_x`"), [], "KIND_UNSUPPORTED", "cannot do this"),
        (VenueApiError(400, {"msg": "Invalid symbol."}), [], "VENUE_REFUSED", "Invalid symbol."),
        (VenueApiError(429, {"msg": "Slow down"}), [], "VENUE_RATE_LIMITED", "Slow down."),
        (RuntimeError("HTTP status 418: teapot"), [], "VENUE_RATE_LIMITED", "limits our requests"),
        (VenueApiError(503, "gone"), [], "VENUE_UNREACHABLE", "503 gone."),
        (ConnectionRefusedError("no"), [], "VENUE_UNREACHABLE", "cannot be reached"),
        (TimeoutError(), [], "VENUE_UNREACHABLE", "cannot be reached"),
        (ValueError("Connection refused (os error)"), [], "VENUE_UNREACHABLE", "refused"),
        (RuntimeError("Market closed"), [], "VENUE_REFUSED", "Market closed."),
        (RuntimeError(""), [], "VENUE_REFUSED", "did not say why"),
        (None, ["No `BinanceTicker`: not supported"], "KIND_UNSUPPORTED", "No BinanceTicker"),
        (None, ["Invalid depth, was 7"], "VENUE_REFUSED", "Invalid depth, was 7."),
    ],
)
def test_reasons(error: Exception | None, noted: list[str], reason: str, message: str) -> None:
    """Each kind of trouble has its reason, and a sentence without names of classes."""
    found = trouble(error, noted)
    assert found is not None
    assert found.reason == reason
    assert message in found.message
    assert "Error" not in found.message
    assert "Traceback" not in found.message


def test_how_long_to_keep_off() -> None:
    """The time to wait is what the venue says, in a header or in words."""
    headed = trouble(VenueApiError(429, "no", {"Retry-After": "7"}))
    until = int((time.time() + 30) * 1000)
    banned = trouble(VenueApiError(418, {"msg": f"IP banned until {until}."}))
    assert headed is not None
    assert headed.retry_after == 7
    assert banned is not None
    assert 25 < banned.retry_after <= 30
