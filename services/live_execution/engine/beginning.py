"""When a replay without a start begins: at its first row, as a backtest does."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from mesh.execution.v1.trader_pb2 import TraderSpec
from meshclient.client import MeshClient
from meshkit.times import to_nanos
from services.live_execution.trader.ports import Component

_NAMED = re.compile(r"^([^\s.]+(?:\.[^\s.]+)*\.[A-Z][A-Z0-9_]*)(?:-\d+-[A-Z].*)?$")
"""An instrument id, or the bar type of one."""


async def first_row(mesh: MeshClient, spec: TraderSpec, components: Iterable[Component]) -> int:
    """Return the time (unix ns) of the first stored row of the instruments that a trader names.

    Of all the project's where it names none; 0 when there are no rows. Raises ``MeshClientError``.
    """
    wanted = {*spec.data.instrument_ids}
    for component in components:
        wanted.update(named(component.config))
    found = [
        each for name in sorted(wanted) for each in await mesh.data.coverage(instrument_id=name)
    ]
    if not found:
        found = list(await mesh.data.coverage())
    return min((to_nanos(each.first_time) for each in found), default=0)


def named(value: Any) -> Iterator[str]:
    """Yield what may be instrument ids in a config, those of bar types as well."""
    if isinstance(value, str):
        if match := _NAMED.match(value):
            yield match[1]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from named(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from named(inner)
