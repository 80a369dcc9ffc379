"""Ports that must be free before anything starts."""

import socket
from collections.abc import Mapping


class PortsTaken(Exception):
    """Ports are taken; the text names each and says what to do."""


def check_free(wanted: Mapping[str, str]) -> None:
    """Raise ``PortsTaken`` unless every address can be listened on.

    ``wanted`` maps a name and its remedy, such as ``gateway (MESH_GATEWAY_LISTEN)``, to
    ``host:port``.
    """
    taken = [
        f"  - {address}, wanted by {name}" for name, address in wanted.items() if _taken(address)
    ]
    if taken:
        raise PortsTaken(
            "These ports are taken by other programs; set the variable in brackets to move ours:\n"
            + "\n".join(taken)
        )


def _taken(address: str) -> bool:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError:
            return True
    return False
