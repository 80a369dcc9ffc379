"""Credentials of venues: sealed at rest, given to nobody but the holder of a trader's lease."""

from services.live_execution.credentials.keys import KeySource
from services.live_execution.credentials.naming import check
from services.live_execution.credentials.vault import Vault

__all__ = ["KeySource", "Vault", "check"]
