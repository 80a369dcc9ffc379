"""What an adapter raised or logged → a reason and a plain sentence for people.

Adapters say little with types: HTTP statuses, texts of Rust, or an error in the log and no
exception. What people read names no class and shows no traceback.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RATE_LIMITED, UNREACHABLE = "VENUE_RATE_LIMITED", "VENUE_UNREACHABLE"
REFUSED, UNSUPPORTED = "VENUE_REFUSED", "KIND_UNSUPPORTED"

WAIT = 10.0
"""Seconds to keep off a venue that limits us and does not say for how long."""

LONGEST = 200
"""Characters of a venue's words that are shown."""

_LIMITED = re.compile(
    r"\b(429|418)\b|too many requests|rate.?limit|banned until|-1003\b", re.IGNORECASE
)
_LINK = re.compile(
    r"connection (was )?(refused|reset|closed|aborted|error|lost|failed)|cannot connect"
    r"|failed to connect|could not connect|not connected|unreachable|timed? ?out|broken pipe"
    r"|\bdns\b|\btls\b|handshake|\bio error|not active|error sending|\b5\d\d\b|\beof\b",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"not (currently )?(supported|implemented|published|aggregated|available|provided)"
    r"|unsupported|not implement|only .* (supported|available|aggregated)",
    re.IGNORECASE,
)
_CLASS = re.compile(r"\b[A-Za-z_.]*(Error|Exception|Failure)\b[:(]*\s*")
_MESSAGE = re.compile(r"""["'](?:msg|message|error_message)["']\s*:\s*["']([^"']+)["']""")
_UNTIL = re.compile(r"banned until (\d{13})\b", re.IGNORECASE)
_AFTER = re.compile(r"""retry-after["']?\s*[:=]\s*["']?(\d+)""", re.IGNORECASE)


@dataclass(frozen=True)
class Trouble:
    """Why something did not work. ``retry_after`` is in seconds, 0 when not known."""

    reason: str
    message: str
    retry_after: float = 0.0


def trouble(error: BaseException | None, noted: Sequence[str] = ()) -> Trouble | None:
    """Return what went wrong in a call of an adapter, None when nothing did.

    ``noted`` are the errors that it logged meanwhile.
    """
    if error is None and not noted:
        return None
    if isinstance(error, NotImplementedError):
        return Trouble(UNSUPPORTED, "The adapter of the venue cannot do this.")
    texts = [*_chain(error), *noted]
    text = " ".join(texts)
    said = plain(texts)
    if _LIMITED.search(text):
        wait = _retry_after(error, text)
        return Trouble(RATE_LIMITED, f"The venue limits our requests. {said}".strip(), wait)
    if isinstance(error, TimeoutError | OSError) or _is_link(error, text):
        return Trouble(UNREACHABLE, f"The venue cannot be reached. {said}".strip())
    if _MISSING.search(text):
        return Trouble(UNSUPPORTED, said or "The adapter of the venue cannot do this.")
    return Trouble(REFUSED, said or "The venue refused, and did not say why.")


def _chain(error: BaseException | None) -> Iterable[str]:
    while error is not None:
        yield f"{getattr(error, 'status', '')} {getattr(error, 'message', '') or error}".strip()
        error = error.__cause__ or error.__context__


def _is_link(error: BaseException | None, text: str) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500
    reasoned = _MESSAGE.search(text) is not None  # the venue itself has spoken
    return error is not None and not reasoned and _LINK.search(text) is not None


def _retry_after(error: BaseException | None, text: str) -> float:
    headers = getattr(error, "headers", None) or {}
    named = {str(name).lower(): value for name, value in dict(headers).items()}
    if str(named.get("retry-after", "")).isdigit():
        return float(named["retry-after"])
    if until := _UNTIL.search(text):
        return max(1.0, int(until[1]) / 1000 - time.time())
    found = _AFTER.search(text)
    return float(found[1]) if found else WAIT


def plain(texts: Iterable[str]) -> str:
    """Return the first text that has words, without names of classes."""
    for text in texts:
        inner = _MESSAGE.search(text)
        line = inner[1] if inner else text.strip().splitlines()[0] if text.strip() else ""
        line = _CLASS.sub("", line).replace("`", "").strip(" ()'\"")
        if any(character.isalpha() for character in line):
            cut = line if len(line) <= LONGEST else line[:LONGEST] + "…"
            return cut[0].upper() + cut[1:] + ("" if cut.endswith((".", "…")) else ".")
    return ""
