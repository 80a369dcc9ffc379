"""What came out of a run, for people: metrics, accounts, the equity curve."""

from collections.abc import Iterator

from mesh.backtest.v1 import backtest_pb2 as pb
from meshclient.cli.output import Output
from meshclient.cli.progress import short, state_name
from meshclient.terminal_plot import plot


def show_run(out: Output, run: pb.Backtest) -> None:
    """Print a run: what it is, and its result or why there is none."""
    out.fields(_facts(run))
    if run.HasField("failure") and run.failure.reason:
        show_failure(out, run.failure)
    if run.state == pb.BACKTEST_STATE_SUCCEEDED:
        show_result(out, run.result)


def _facts(run: pb.Backtest) -> Iterator[tuple[str, object]]:
    yield "backtest", run.backtest_id
    yield "name", run.name
    yield "labels", ", ".join(f"{key}={value}" for key, value in sorted(run.labels.items()))
    yield "state", state_name(run.state)
    for component in run.spec.components:
        yield "component", f"{component.strategy_id}@{component.version[:12]}"
    for data in run.spec.data:
        yield "data", data.bar_type or data.instrument_id
    yield "created", run.meta.create_time
    yield "attempts", run.attempts if run.attempts > 1 else None
    if run.state == pb.BACKTEST_STATE_RUNNING:
        yield "progress", f"{run.progress.fraction:.0%}"
        yield "simulated", run.progress.simulated_time


def show_failure(out: Output, failure: pb.Failure) -> None:
    """Print why a run failed, with the end of its log."""
    where = f" ({failure.file}, line {failure.line})" if failure.file else ""
    out.say(f"\n{failure.reason}{where}: {failure.message}")
    for line in failure.log_tail[-15:]:
        out.note(f"  {line}")


def show_result(out: Output, result: pb.Result, *, curve: bool = True) -> None:
    """Print the metrics and plot the equity of each currency."""
    out.table(["metric", "value"], _metrics(result), right=["value"], whole=["value"])
    out.table(
        ["account", "start", "end"],
        [
            (
                account.account_id or account.venue,
                "\n".join(f"{m.amount} {m.currency}" for m in account.starting_balances),
                "\n".join(f"{m.amount} {m.currency}" for m in account.balances),
            )
            for account in result.accounts
        ],
        right=["start", "end"],
    )
    if curve:
        show_equity(out, result)


def show_equity(out: Output, result: pb.Result) -> None:
    """Plot the equity of each currency, as wide as the terminal up to 120 columns."""
    for curve in result.equity:
        if len(curve.points) > 1:
            times = [point.time.seconds + point.time.nanos / 1e9 for point in curve.points]
            lowest = min(point.drawdown for point in curve.points)
            out.say(f"equity {curve.currency} · deepest drawdown {100 * lowest:.3g} %")
            width = min(out.console.width, 120) - 1
            out.say(plot(times, [point.equity for point in curve.points], width=width) + "\n")


def _metrics(result: pb.Result) -> Iterator[tuple[str, object]]:
    yield "Orders", result.total_orders
    yield "Positions", result.total_positions
    yield "Data events", result.iterations
    if result.run_seconds > 0:
        rate = short(result.iterations / result.run_seconds)
        yield "Run time", f"{result.run_seconds:.2f} s ({rate} ev/s)"
    several = len(result.currencies) > 1
    for currency in result.currencies:
        for statistic in currency.pnl:
            named = f"{statistic.name} [{currency.currency}]"
            yield named if several else statistic.name, _value(statistic)
    for statistic in (*result.returns, *result.general):
        yield statistic.name, _value(statistic)


def _value(statistic: pb.Statistic) -> float | None:
    return statistic.value if statistic.HasField("value") else None
