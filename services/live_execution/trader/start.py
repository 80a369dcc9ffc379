"""How the process of a trader begins: a socket that it inherits, and on it its ticket.

The launcher gives it a session of its own, and it does not end with its launcher: an API that
starts again finds its traders at work.
"""

import socket

from services.live_execution.trader import frames
from services.live_execution.trader.ports import Ticket


def send(connected: socket.socket, ticket: Ticket) -> None:
    """Hand a ticket over; blocks until it is in the socket."""
    connected.sendall(frames.pack(ticket))


def receive(fd: int) -> Ticket:
    """Return the ticket; the socket stays open, for the secrets, and no child gets it.

    Raises ``ConnectionError`` when the launcher went away before.
    """
    with socket.socket(fileno=fd) as connected:
        try:
            connected.set_inheritable(False)
            connected.setblocking(True)
            return frames.unpack(frames.receive(connected), Ticket)
        finally:
            connected.detach()
