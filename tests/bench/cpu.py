"""CPU time of the mesh by the part that spent it."""

from collections import defaultdict

import psutil

from bench.place import Place

PARTS = {
    "services.market_data.engine.feed": "feed",
    "services.market_data": "market-data",
}


def by_part(place: Place) -> dict[str, float]:
    """Return CPU seconds of each part so far: feed, market-data, envoy, valkey, the rest of the
    mesh, and client, which is this process.
    """
    ours = psutil.Process(place.mesh.child.pid)
    spent: dict[str, float] = defaultdict(float)
    for each in [ours, *ours.children(recursive=True)]:
        try:
            times = each.cpu_times()
            spent[_part(each)] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    own = psutil.Process().cpu_times()
    spent["client"] = own.user + own.system
    return spent


def _part(process: psutil.Process) -> str:
    name = process.name()
    for start in ("envoy", "valkey"):
        if name.startswith(start):
            return start
    return next((PARTS[word] for word in process.cmdline() if word in PARTS), "rest")
