"""Edges of the strategy service: cases ST-23 to ST-29."""

import asyncio
from typing import Any

import pytest

from integration.failures import failure
from integration.strategy.conftest import Served
from integration.strategy.test_strategies import EMA_CROSS, create, module, new_id
from mesh.strategy.v1 import strategy_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as rpc

GOOD = "from nautilus_trader.trading.strategy import Strategy\nclass A(Strategy): pass\n"
UPWARDS = pb.StrategySource(files=[pb.SourceFile(path="../up.py", text=GOOD)])
UNKNOWN: Any = 9
CONFIG = {
    "instrument_id": "EUR/USD.SIM",
    "bar_type": "EUR/USD.SIM-1-MINUTE-BID-EXTERNAL",
    "trade_size": "1000",
}


def add(text: str, strategy_id: str = "ema") -> rpc.CreateStrategyVersionRequest:
    """Return a request that adds a version."""
    return rpc.CreateStrategyVersionRequest(
        request_id=new_id(), strategy_id=strategy_id, source=module(text)
    )


async def test_st23_exact_checks_run_the_class(stub: Any) -> None:
    """ST-23: what a schema cannot say is found by making the component, when asked for."""
    await stub.CreateStrategy(create())
    request = rpc.ValidateConfigRequest(strategy_id="ema", version="latest")
    request.config.update({**CONFIG, "fast_ema_period": 30, "slow_ema_period": 20})
    assert not (await stub.ValidateConfig(request)).violations
    request.exact = True
    faults = (await stub.ValidateConfig(request)).violations
    wanted = ("$", "fast_ema_period must be less than slow_ema_period")
    assert [(f.path, f.description) for f in faults] == [wanted]
    request.config.update({"slow_ema_period": 40})
    assert not (await stub.ValidateConfig(request)).violations


async def test_st24_defaults_fill_a_form(stub: Any) -> None:
    """ST-24: a version tells its defaults; a component without a config of its own says so."""
    made = (await stub.CreateStrategy(create())).version
    assert made.default_config["slow_ema_period"] == 20
    assert set(made.required_fields) == set(CONFIG)
    assert not set(made.required_fields) & set(made.default_config)
    bare = (await stub.CreateStrategy(create("bare", GOOD))).version
    assert (bare.class_name, bare.config_class_name) == ("A", "")
    listed = await stub.ListStrategyVersions(rpc.ListStrategyVersionsRequest(strategy_id="ema"))
    assert listed.versions[0].required_fields == made.required_fields
    assert not listed.versions[0].HasField("source")


async def test_st25_versions_are_named_in_part(served: Served, stub: Any) -> None:
    """ST-25: a prefix that fits two versions, none, or a strategy without any, is told."""
    await stub.CreateStrategy(create(text=GOOD))
    await stub.CreateStrategyVersion(add(GOOD + "# 2"))
    async with served.database.connection() as connection:
        await connection.execute(
            "UPDATE strategy_versions SET version = 'abcdabcd' || substr(version, 9)"
        )

    def named(version: str, strategy_id: str = "ema") -> Any:
        request = rpc.GetStrategyVersionRequest(strategy_id=strategy_id, version=version)
        return stub.GetStrategyVersion(request)

    got = await failure(named("abcdabcd"))
    assert (got.code, got.reason) == ("INVALID_ARGUMENT", "STRATEGY_VERSION_AMBIGUOUS")
    assert (await failure(named("00000000"))).reason == "STRATEGY_VERSION_NOT_FOUND"
    assert (await failure(named("abcd"))).reason == "INVALID_FIELD"
    await stub.CreateStrategy(create("none", None))
    got = await failure(named("latest", "none"))
    assert got.metadata == {"strategy_id": "none", "version": "latest"}


async def test_st26_versions_page(stub: Any) -> None:
    """ST-26: versions come the newest first, in pages; a token fits its own strategy alone."""
    await stub.CreateStrategy(create(text=GOOD))
    made = [
        (await stub.CreateStrategyVersion(add(GOOD + f"# {n}"))).version.version for n in range(2)
    ]
    await stub.CreateStrategy(create("other", GOOD))
    request = rpc.ListStrategyVersionsRequest(strategy_id="ema", page_size=1)
    seen = []
    for _ in range(3):
        page = await stub.ListStrategyVersions(request)
        seen.append(page.versions[0].version)
        request.page_token = page.next_page_token or request.page_token
    assert (seen[:2], page.next_page_token) == (made[::-1], "")
    request.strategy_id = "other"
    assert (await failure(stub.ListStrategyVersions(request))).reason == "INVALID_PAGE_TOKEN"
    negative = rpc.ListStrategyVersionsRequest(strategy_id="ema", page_size=-1)
    assert (await failure(stub.ListStrategyVersions(negative))).reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (rpc.ListStrategiesRequest(label="team"), "label"),
        (rpc.ListStrategiesRequest(kind=UNKNOWN), "kind"),
        (create(labels={"Bad Key": "x"}), "labels[Bad Key]"),
        (create(description="x" * 4001), "description"),
        (
            rpc.ValidateSourceRequest(kind=pb.COMPONENT_KIND_STRATEGY, source=UPWARDS),
            "source.files[0].path",
        ),
        (
            rpc.UpdateStrategyRequest(request_id=new_id(), strategy_id="a", labels={"B": "x"}),
            "labels[B]",
        ),
    ],
)
async def test_st27_fields_are_bounded(stub: Any, request_: Any, field: str) -> None:
    """ST-27: a filter or label that could never fit is refused and named."""
    method = type(request_).__name__.removesuffix("Request")
    got = await failure(getattr(stub, method)(request_))
    assert (got.reason, list(got.fields)) == ("INVALID_FIELD", [field])


async def test_st28_at_the_same_time_is_one_after_the_other(stub: Any) -> None:
    """ST-28: of the same request twice at once one is done and both get its answer; of two with
    the same id one is refused; two versions at once are both kept.
    """
    request = create(text=GOOD)
    first, second = await asyncio.gather(*(stub.CreateStrategy(request) for _ in range(2)))
    assert first == second
    others = [create("b", GOOD), create("b", GOOD)]
    done = await asyncio.gather(*map(stub.CreateStrategy, others), return_exceptions=True)
    assert sum(isinstance(each, BaseException) for each in done) == 1
    added = [add(GOOD + "# 1"), add(GOOD + "# 2")]
    await asyncio.gather(*map(stub.CreateStrategyVersion, added))
    found = await stub.GetStrategy(rpc.GetStrategyRequest(strategy_id="ema"))
    assert found.strategy.version_count == 3


@pytest.mark.parametrize("where", ["description", "file"])
async def test_st29_text_that_cannot_be_stored_is_refused(stub: Any, where: str) -> None:
    """ST-29: a NUL character is named as the caller's fault, not answered by a broken store."""
    wrong = create(text=GOOD + "# \0") if where == "file" else create(description="a\0b")
    got = await failure(stub.CreateStrategy(wrong))
    assert got.code == "INVALID_ARGUMENT"
    package = pb.StrategySource(
        files=[
            pb.SourceFile(path="main.py", text=EMA_CROSS),
            pb.SourceFile(path="later.py", text="\0"),
        ]
    )
    request = rpc.ValidateSourceRequest(kind=pb.COMPONENT_KIND_STRATEGY, source=package)
    assert (await failure(stub.ValidateSource(request))).metadata["file"] == "later.py"
