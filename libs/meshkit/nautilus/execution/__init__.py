"""Nautilus' execution events ↔ facts of a trader (``mesh.execution.v1``), exactly.

``type(event).to_dict(event)`` is equal after the way there and back, for every event that a cache
is rebuilt from. On the path of every order: some 10 µs an event.
"""

from meshkit.nautilus.execution.facts import from_fact, nanos_of, to_fact

__all__ = ["from_fact", "nanos_of", "to_fact"]
