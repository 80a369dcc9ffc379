"""Write Envoy's bootstrap from the environment: ``python -m services.gateway.envoy --out FILE``."""

import argparse
import os
import sys
from pathlib import Path

from meshkit.config import ConfigError
from services.gateway.envoy.config import Gateway
from services.gateway.envoy.launch import write


def main() -> int:
    """Write the file; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.gateway.envoy", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file to write, in JSON")
    arguments = parser.parse_args()
    try:
        write(Gateway.read(os.environ), arguments.out)
    except ConfigError as error:
        print("gateway cannot be configured:", *error.faults, sep="\n  - ", file=sys.stderr)
        return 2
    return 0


sys.exit(main())
