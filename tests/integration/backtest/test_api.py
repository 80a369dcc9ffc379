"""The backtest API with live strategy and market-data services: cases BT-10 to BT-17."""

import asyncio
from typing import Any

from integration.backtest.live import Mesh, new_id, request, spec
from integration.failures import failure
from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.backtest.v1 import backtest_service_pb2 as rpc
from meshkit.times import to_timestamp
from services.market_data import sample


async def test_bt10_a_run_from_create_to_tables(mesh: Mesh) -> None:
    """BT-10: create, watch to the end, read every table and the tearsheet, and the manifest."""
    made = await mesh.create(name="first", labels={"team": "fx"})
    assert made.state == pb.BACKTEST_STATE_PENDING
    told = await mesh.ended(made.backtest_id)
    assert told[0].backtest.backtest_id == made.backtest_id
    last = told[-1].backtest
    assert last.state == pb.BACKTEST_STATE_SUCCEEDED, last.failure
    assert last.result.total_orders > 20
    assert last.result.iterations == 2 * sample.BARS
    assert len(last.manifest.components[0].version) == 64
    assert last.manifest.versions["nautilus_trader"] == "1.231.0"
    assert last.result.equity[0].currency == "USD"
    for table in pb.ResultTable.values()[1:]:
        rows = await mesh.table(last.backtest_id, table)
        name = pb.ResultTable.Name(table).removeprefix("RESULT_TABLE_").lower()
        assert rows.num_rows == last.result.table_rows[name] > 0
    wanted = rpc.ReadTearsheetRequest(backtest_id=last.backtest_id)
    page = b"".join([m.data async for m in mesh.backtests.ReadTearsheet(wanted)])
    assert page.lstrip().startswith(b"<")
    assert b"plotly" in page


async def test_bt11_equal_runs_are_equal(mesh: Mesh) -> None:
    """BT-11: the same spec twice has the same hashes, orders and balances."""
    runs = [await mesh.create() for _ in range(2)]
    ends = [(await mesh.ended(run.backtest_id))[-1].backtest for run in runs]
    assert ends[0].manifest == ends[1].manifest
    assert ends[0].result.accounts == ends[1].result.accounts
    orders = [await mesh.table(e.backtest_id, pb.RESULT_TABLE_ORDERS) for e in ends]
    assert orders[0].drop(["init_id"]) == orders[1].drop(["init_id"])


async def test_bt12_cancel_and_delete(mesh: Mesh) -> None:
    """BT-12: a run is cancelled while it runs; one that ended is deleted with its result."""
    made = await mesh.create(given=spec("slow"))
    stream = mesh.backtests.WatchBacktest(rpc.WatchBacktestRequest(backtest_id=made.backtest_id))
    async with asyncio.timeout(60):
        while (message := await stream.read()).progress.events == 0:
            pass
    assert message.progress.fraction < 1
    early = await failure(
        mesh.backtests.DeleteBacktest(
            rpc.DeleteBacktestRequest(request_id=new_id(), backtest_id=made.backtest_id)
        )
    )
    assert early.reason == "BACKTEST_NOT_ENDED"
    cancel = rpc.CancelBacktestRequest(request_id=new_id(), backtest_id=made.backtest_id)
    await mesh.backtests.CancelBacktest(cancel)
    assert (await mesh.ended(made.backtest_id))[-1].backtest.state == pb.BACKTEST_STATE_CANCELLED
    done = await mesh.create()
    await mesh.ended(done.backtest_id)
    late = rpc.CancelBacktestRequest(request_id=new_id(), backtest_id=done.backtest_id)
    assert (await failure(mesh.backtests.CancelBacktest(late))).reason == "BACKTEST_ENDED"
    delete = rpc.DeleteBacktestRequest(request_id=new_id(), backtest_id=done.backtest_id)
    await mesh.backtests.DeleteBacktest(delete)
    gone = await failure(
        mesh.backtests.GetBacktest(rpc.GetBacktestRequest(backtest_id=done.backtest_id))
    )
    assert (gone.code, gone.reason) == ("NOT_FOUND", "BACKTEST_NOT_FOUND")
    assert not (mesh.bench.archive / "default" / done.backtest_id).exists()


async def test_bt13_a_watch_resumes_by_cursor(mesh: Mesh) -> None:
    """BT-13: after its first cursor a watcher gets each later state once, and a bad one is told."""
    made = await mesh.create()
    wanted = rpc.WatchBacktestRequest(backtest_id=made.backtest_id)
    stream = mesh.backtests.WatchBacktest(wanted)
    first = await stream.read()
    stream.cancel()
    wanted.after_cursor = first.cursor
    told = [m async for m in mesh.backtests.WatchBacktest(wanted) if m.HasField("backtest")]
    states = [m.backtest.state for m in told]
    assert states[-1] == pb.BACKTEST_STATE_SUCCEEDED
    assert len(states) == len(set(states))
    wanted.after_cursor = "nonsense"
    assert (await failure(mesh.backtests.WatchBacktest(wanted).read())).reason == "INVALID_CURSOR"
    other = await mesh.create()
    wanted = rpc.WatchBacktestRequest(backtest_id=other.backtest_id, after_cursor=first.cursor)
    assert (await failure(mesh.backtests.WatchBacktest(wanted).read())).reason == "INVALID_CURSOR"


async def test_bt14_lists_page_and_filter(mesh: Mesh) -> None:
    """BT-14: runs are listed newest first, by page, state, strategy and label."""
    made = [await mesh.create(labels={"n": str(i)}) for i in range(3)]
    first = await mesh.backtests.ListBacktests(rpc.ListBacktestsRequest(page_size=2))
    token = first.next_page_token
    second = await mesh.backtests.ListBacktests(
        rpc.ListBacktestsRequest(page_size=2, page_token=token)
    )
    ids = [b.backtest_id for b in (*first.backtests, *second.backtests)]
    assert ids == [b.backtest_id for b in reversed(made)]
    labelled = await mesh.backtests.ListBacktests(rpc.ListBacktestsRequest(label="n=1"))
    assert [b.backtest_id for b in labelled.backtests] == [made[1].backtest_id]
    nothing = rpc.ListBacktestsRequest(strategy_id="slow")
    assert not (await mesh.backtests.ListBacktests(nothing)).backtests
    refused = await failure(
        mesh.backtests.ListBacktests(rpc.ListBacktestsRequest(label="n=1", page_token=token))
    )
    assert refused.reason == "INVALID_PAGE_TOKEN"


def _bad(change: Any) -> pb.BacktestSpec:
    made = spec()
    change(made)
    return made


def _late(made: pb.BacktestSpec) -> None:
    made.range.start.CopyFrom(to_timestamp(sample.START + 10_000 * 86_400 * 10**9))


BAD_SPECS: list[tuple[pb.BacktestSpec, str, str, set[str]]] = [
    (spec("nothing"), "NOT_FOUND", "STRATEGY_NOT_FOUND", set()),
    (
        _bad(lambda s: setattr(s.components[0], "version", "0" * 64)),
        "NOT_FOUND",
        "STRATEGY_VERSION_NOT_FOUND",
        set(),
    ),
    (
        spec(fast_ema_period=0),
        "INVALID_ARGUMENT",
        "STRATEGY_CONFIG_INVALID",
        {"spec.components[0].config.fast_ema_period"},
    ),
    (
        _bad(lambda s: setattr(s.venues[0].starting_balances[0], "amount", "1e6")),
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        {"spec.venues[0].starting_balances[0].amount"},
    ),
    (
        _bad(lambda s: setattr(s.venues[0], "oms_type", 99)),
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        {"spec.venues[0].oms_type"},
    ),
    (
        _bad(lambda s: setattr(s.venues[0], "name", "OTHER")),
        "INVALID_ARGUMENT",
        "BACKTEST_SPEC_INVALID",
        {"data[0].instrument_id", "data[1].instrument_id"},
    ),
    (
        _bad(lambda s: setattr(s.data[0], "bar_type", "EUR/USD.SIM-1-MINUTE-BID-EXTERNAL")),
        "NOT_FOUND",
        "NO_DATA",
        set(),
    ),
    (
        _bad(lambda s: setattr(s.data[0], "bar_type", "GBP/USD.SIM-1-MINUTE-BID-EXTERNAL")),
        "NOT_FOUND",
        "INSTRUMENT_NOT_FOUND",
        set(),
    ),
    (_bad(_late), "OUT_OF_RANGE", "RANGE_OUTSIDE_COVERAGE", set()),
]


async def test_bt15_a_bad_spec_starts_nothing(mesh: Mesh) -> None:
    """BT-15: each fault of a spec has its typed error, and no run is made."""
    for given, code, reason, fields in BAD_SPECS:
        got = await failure(mesh.backtests.CreateBacktest(request(given)))
        assert (got.code, got.reason) == (code, reason)
        assert fields <= set(got.fields)
    assert not (await mesh.backtests.ListBacktests(rpc.ListBacktestsRequest())).backtests


async def test_bt16_requests_projects_and_scopes(mesh: Mesh) -> None:
    """BT-16: a repeated request is one run; other projects and lesser tokens see nothing."""
    asked = request()
    first = await mesh.backtests.CreateBacktest(asked)
    assert await mesh.backtests.CreateBacktest(asked) == first
    changed = request(name="other", request_id=asked.request_id)
    assert (await failure(mesh.backtests.CreateBacktest(changed))).reason == "REQUEST_ID_REUSED"
    wanted = rpc.GetBacktestRequest(backtest_id=first.backtest.backtest_id)
    stranger = await mesh.stub(projects=["other"])
    assert (await failure(stranger.GetBacktest(wanted))).reason == "BACKTEST_NOT_FOUND"
    reader = await mesh.stub("backtest.read")
    assert (await reader.GetBacktest(wanted)).backtest.backtest_id == wanted.backtest_id
    assert (await failure(reader.CreateBacktest(request()))).reason == "SCOPE_MISSING"
    runner = await mesh.stub("backtest.run")
    lacking = await failure(runner.CreateBacktest(request()))
    assert (lacking.code, lacking.reason) == ("PERMISSION_DENIED", "SCOPE_MISSING")


async def test_bt17_results_before_their_time(mesh: Mesh) -> None:
    """BT-17: a result that is not ready is told; an unknown table is refused by its field."""
    made = await mesh.create(given=spec("slow"))
    wanted = rpc.ReadBacktestResultRequest(
        backtest_id=made.backtest_id, table=pb.RESULT_TABLE_ORDERS
    )
    assert (
        await failure(mesh.backtests.ReadBacktestResult(wanted).read())
    ).reason == "RESULT_NOT_READY"
    wanted.table = 77  # type: ignore[assignment]  # on purpose
    got = await failure(mesh.backtests.ReadBacktestResult(wanted).read())
    assert set(got.fields) == {"table"}
