"""Run as ``python -m simulators.okx --port 0``."""

from simulators.exchange import serve
from simulators.okx.venue import OKX

serve(lambda port: OKX(port))
