"""The service as a process that tests kill: ``api_process.py <json>``.

The JSON is [environment, public key of tokens]. Traders are small ones unless the environment
says ``ENGINE``.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import jwt
import uvloop

from services.live_execution.config import Config
from services.live_execution.launching.local import PROGRAM
from services.live_execution.main import opened

SMALL = (sys.executable, str(Path(__file__).with_name("small_trader.py")))


class OneKey:
    """A ``meshkit.tokens.Keys`` of one key."""

    def __init__(self, jwk: dict[str, Any]) -> None:
        self._jwk = jwt.PyJWK(jwk)

    async def key(self, _: str) -> jwt.PyJWK | None:
        """Return the key."""
        return self._jwk


async def serve(values: dict[str, str], jwk: dict[str, Any]) -> None:
    """Serve until told to stop."""
    program = PROGRAM if "ENGINE" in values else SMALL
    async with opened(Config.read(values), OneKey(jwk), program) as server:
        await server.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    uvloop.run(serve(*json.loads(sys.argv[1])))
