"""The service as a process that tests kill, with small traders: ``api_process.py <json>``.

The JSON is [environment, public key of tokens].
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import jwt
import uvloop

from services.live_execution.config import Config
from services.live_execution.main import serve_with

SMALL = (sys.executable, str(Path(__file__).with_name("small_trader.py")))


class OneKey:
    """A ``meshkit.tokens.Keys`` of one key."""

    def __init__(self, jwk: dict[str, Any]) -> None:
        self._jwk = jwt.PyJWK(jwk)

    async def key(self, _: str) -> jwt.PyJWK | None:
        """Return the key."""
        return self._jwk


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    values, jwk = json.loads(sys.argv[1])
    uvloop.run(serve_with(Config.read(values), OneKey(jwk), SMALL))
