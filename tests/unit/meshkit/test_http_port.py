"""The HTTP port of every service."""

import socket
import urllib.request

from meshkit.metrics import HttpPort


def test_a_client_that_says_nothing_holds_nobody_up() -> None:
    """Probes are answered while another connection is open and silent."""
    with HttpPort("127.0.0.1:0", {}) as port:
        host, _, number = port.address.rpartition(":")
        with (
            socket.create_connection((host, int(number))),
            urllib.request.urlopen(f"http://{port.address}/healthz", timeout=5) as reply,
        ):
            assert reply.read() == b"ok\n"
