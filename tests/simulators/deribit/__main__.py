"""Run as ``python -m simulators.deribit --port 0 --rate 20``."""

from simulators.deribit.venue import Deribit
from simulators.exchange import serve

serve(lambda port: Deribit(port))
