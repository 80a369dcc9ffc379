"""The strategy service over a real channel: cases ST-01 to ST-09."""

import uuid
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from integration.failures import failure
from integration.strategy.conftest import Served
from mesh.events.v1.events_pb2 import Event
from mesh.strategy.v1 import strategy_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as rpc
from services.strategy import examples

EMA_CROSS = (Path(examples.__file__).parent / "ema_cross.py").read_text()


def new_id() -> str:
    """Return a new request id."""
    return str(uuid.uuid4())


def module(text: str) -> pb.StrategySource:
    """Return a source of one module."""
    return pb.StrategySource(files=[pb.SourceFile(path="it.py", text=text)])


def create(strategy_id: str = "ema", text: str | None = EMA_CROSS, **more: Any) -> Any:
    """Return a request that creates a strategy."""
    values = {"request_id": new_id(), "kind": pb.COMPONENT_KIND_STRATEGY, **more}
    source = module(text) if text is not None else None
    return rpc.CreateStrategyRequest(strategy_id=strategy_id, source=source, **values)


async def test_st01_a_strategy_is_stored_with_its_version(stub: Any) -> None:
    """ST-01: source in, version out: content-addressed, with schema and required fields."""
    made = await stub.CreateStrategy(create(labels={"team": "fx"}))
    assert made.strategy.latest_version == made.version.version
    assert made.version.class_name == "EmaCross"
    assert list(made.version.required_fields) == ["instrument_id", "bar_type", "trade_size"]
    got = await stub.GetStrategyVersion(
        rpc.GetStrategyVersionRequest(strategy_id="ema", version=made.version.version[:8])
    )
    assert got.version.source.files[0].text == EMA_CROSS
    schema = json_format.MessageToDict(got.version.config_schema)
    fast = schema["$defs"]["EmaCrossConfig"]["properties"]["fast_ema_period"]
    assert (fast["minimum"], fast["default"]) == (1, 10)


async def test_st02_the_same_code_is_the_same_version(stub: Any) -> None:
    """ST-02: equal code is found again, and other code is another version."""
    first = (await stub.CreateStrategy(create())).version.version
    again = await stub.CreateStrategyVersion(
        rpc.CreateStrategyVersionRequest(
            request_id=new_id(), strategy_id="ema", source=module(EMA_CROSS)
        )
    )
    assert (again.version.version, again.existed) == (first, True)
    other = await stub.CreateStrategyVersion(
        rpc.CreateStrategyVersionRequest(
            request_id=new_id(), strategy_id="ema", source=module(EMA_CROSS + "\n# changed\n")
        )
    )
    assert not other.existed
    listed = await stub.ListStrategyVersions(rpc.ListStrategyVersionsRequest(strategy_id="ema"))
    assert [v.version for v in listed.versions] == [other.version.version, first]
    latest = rpc.GetStrategyVersionRequest(strategy_id="ema", version="latest")
    assert (await stub.GetStrategyVersion(latest)).version.version == other.version.version


async def test_st03_every_kind_and_form_of_source(stub: Any) -> None:
    """ST-03: actors, execution algorithms, packages and importable paths load."""
    folder = Path(examples.__file__).parent
    actor = pb.COMPONENT_KIND_ACTOR
    slicer = pb.COMPONENT_KIND_EXEC_ALGORITHM
    for kind, file, name in ((actor, "bar_counter", "BarCounter"), (slicer, "slicer", "Slicer")):
        text = (folder / f"{file}.py").read_text()
        made = await stub.CreateStrategy(create(file.replace("_", "-"), text, kind=kind))
        assert made.version.class_name == name
    package = pb.StrategySource(
        files=[
            pb.SourceFile(path="main.py", text="from .parts.rule import Rule\n"),
            pb.SourceFile(path="parts/rule.py", text=EMA_CROSS.replace("EmaCross", "Rule")),
        ]
    )
    strategy = pb.COMPONENT_KIND_STRATEGY
    request = rpc.ValidateSourceRequest(kind=strategy, source=package)
    assert (await stub.ValidateSource(request)).version.class_name == "Rule"
    path = pb.StrategySource(importable_path="services.strategy.examples.ema_cross:EmaCross")
    request = rpc.ValidateSourceRequest(kind=strategy, source=path)
    assert (await stub.ValidateSource(request)).version.config_class_name == "EmaCrossConfig"


async def test_st04_configs_are_checked_by_path(stub: Any) -> None:
    """ST-04: each fault of a config is told with its path, and a good config has none."""
    await stub.CreateStrategy(create())
    request = rpc.ValidateConfigRequest(strategy_id="ema", version="latest")
    request.config.update({"instrument_id": "X.Y", "trade_size": "1", "fast_ema_period": 0})
    request.config.update({"bogus": 1})
    faults = (await stub.ValidateConfig(request)).violations
    assert {f.path for f in faults} == {"$.bogus", "$.bar_type", "$.fast_ema_period"}
    good = rpc.ValidateConfigRequest(strategy_id="ema", version="latest")
    good.config.update({"instrument_id": "X.Y", "trade_size": "1", "fast_ema_period": 5})
    good.config.update({"bar_type": "X.Y-1-MINUTE-BID-EXTERNAL"})
    assert not (await stub.ValidateConfig(good)).violations


async def test_st05_lists_page_and_filter(stub: Any) -> None:
    """ST-05: pages join to the whole list, and a token of another filter is refused."""
    for name in ("a", "b", "c"):
        await stub.CreateStrategy(
            create(name, None, labels={"team": "fx" if name != "b" else "eq"})
        )
    first = await stub.ListStrategies(rpc.ListStrategiesRequest(page_size=2))
    token = first.next_page_token
    rest = await stub.ListStrategies(rpc.ListStrategiesRequest(page_size=2, page_token=token))
    ids = [s.strategy_id for s in (*first.strategies, *rest.strategies)]
    assert (ids, rest.next_page_token) == (["a", "b", "c"], "")
    labelled = await stub.ListStrategies(rpc.ListStrategiesRequest(label="team=fx"))
    assert [s.strategy_id for s in labelled.strategies] == ["a", "c"]
    refused = await failure(
        stub.ListStrategies(rpc.ListStrategiesRequest(label="team=fx", page_token=token))
    )
    assert refused.reason == "INVALID_PAGE_TOKEN"


async def test_st06_updates_and_deletes_heed_the_etag(stub: Any) -> None:
    """ST-06: a stale etag changes nothing; a deleted strategy is gone with its versions."""
    etag = (await stub.CreateStrategy(create())).strategy.meta.etag
    changed = await stub.UpdateStrategy(
        rpc.UpdateStrategyRequest(
            request_id=new_id(), strategy_id="ema", display_name="Cross", etag=etag
        )
    )
    assert changed.strategy.display_name == "Cross"
    stale = rpc.DeleteStrategyRequest(request_id=new_id(), strategy_id="ema", etag=etag)
    assert (await failure(stub.DeleteStrategy(stale))).reason == "ETAG_MISMATCH"
    await stub.DeleteStrategy(rpc.DeleteStrategyRequest(request_id=new_id(), strategy_id="ema"))
    gone = await failure(stub.GetStrategy(rpc.GetStrategyRequest(strategy_id="ema")))
    assert (gone.code, gone.reason) == ("NOT_FOUND", "STRATEGY_NOT_FOUND")


async def test_st07_changes_are_facts(served: Served, stub: Any) -> None:
    """ST-07: each change is a numbered fact with the whole strategy."""
    await stub.CreateStrategy(create())
    await stub.DeleteStrategy(rpc.DeleteStrategyRequest(request_id=new_id(), strategy_id="ema"))
    async with served.database.connection() as connection:
        rows = await connection.fetch("SELECT number, event FROM facts ORDER BY number")
    told = []
    for row in rows:
        change = pb.StrategyChanged()
        assert Event.FromString(row["event"]).payload.Unpack(change)
        told.append((row["number"], change.strategy.strategy_id, change.deleted))
    assert told == [(1, "ema", False), (2, "ema", True)]


async def test_st08_projects_are_walls(served: Served, stub: Any) -> None:
    """ST-08: to another project the strategy does not exist, and its id is free."""
    await stub.CreateStrategy(create())
    other = await served.stub(projects=["other"])
    got = await failure(other.GetStrategy(rpc.GetStrategyRequest(strategy_id="ema")))
    assert got.reason == "STRATEGY_NOT_FOUND"
    assert not (await other.ListStrategies(rpc.ListStrategiesRequest())).strategies
    version = rpc.GetStrategyVersionRequest(strategy_id="ema", version="latest")
    assert (await failure(other.GetStrategyVersion(version))).reason == "STRATEGY_NOT_FOUND"
    named = await failure(
        other.GetStrategy(rpc.GetStrategyRequest(strategy_id="ema", project="default"))
    )
    assert named.reason == "PROJECT_FORBIDDEN"
    assert (await other.CreateStrategy(create("ema", None))).strategy.meta.project == "other"


async def test_st09_requests_are_done_once(stub: Any) -> None:
    """ST-09: a repeated request gives the first answer; with another body it is refused."""
    request = create()
    first = await stub.CreateStrategy(request)
    assert await stub.CreateStrategy(request) == first
    changed = create("other", None, request_id=request.request_id)
    refused = await failure(stub.CreateStrategy(changed))
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    assert (await failure(stub.CreateStrategy(create()))).reason == "STRATEGY_EXISTS"
