"""Run as ``python -m simulators.okx --port 0 --rate 20``."""

from simulators.exchange import serve
from simulators.okx.venue import OKX

serve(lambda port: OKX(port))
