"""Run a trader: ``python -m services.live_execution.engine.trader <fd> [name]``."""

import os
import sys

from services.live_execution.engine.main import run

code = run(int(sys.argv[1]))
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # threads of adapters must not keep it
