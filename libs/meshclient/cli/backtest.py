"""``meshctl backtest``: run, follow and manage backtests."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from mesh.backtest.v1 import backtest_pb2 as pb
from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment
from meshclient.cli.progress import run_bar, state_name
from meshclient.cli.results import show_result
from meshclient.cli.runs import SpecOptions, spec_from
from meshclient.errors import JobFailed, UsageError

app = typer.Typer(no_args_is_help=True, help="Run backtests and read what came out.")

RunId = Annotated[
    str, typer.Argument(help="Backtest id, its first digits, or `last`.", metavar="ID")
]


@command(app, "run")
async def run(
    shell: Shell,
    file: Annotated[
        str, typer.Argument(help="Spec: a .yaml, .json or .toml file.", show_default=False)
    ] = "",
    example: Annotated[
        bool, typer.Option("--example", help="Run a spec that ships; FILE may be its name.")
    ] = False,
    strategy: Annotated[str, typer.Option(help="Strategy id, or id@version.")] = "",
    bars: Annotated[list[str] | None, typer.Option(help="Bar type; both sides are used.")] = None,
    quotes: Annotated[list[str] | None, typer.Option(help="Instrument id.")] = None,
    trades: Annotated[list[str] | None, typer.Option(help="Instrument id.")] = None,
    config: Annotated[
        list[str] | None, typer.Option("--set", help="Config field of the strategy, NAME=VALUE.")
    ] = None,
    balance: Annotated[
        list[str] | None, typer.Option(help="Starting balance, such as '1000000 USD'.")
    ] = None,
    leverage: Annotated[str, typer.Option(help="Leverage of the margin account.")] = "10",
    start: Annotated[str, typer.Option(help="First time, such as 2024-01-31.")] = "",
    end: Annotated[str, typer.Option(help="Last time.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of random numbers.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="Label, KEY=VALUE.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
) -> None:
    """Run a backtest, from a spec file or from flags, and show what came out.

    One line is enough: `meshctl backtest run --strategy ema-cross --bars
    USD/JPY.SIM-1-MINUTE-BID-EXTERNAL`.
    """
    options = SpecOptions(
        file, example, strategy, bars or [], quotes or [], trades or [], config or [],
        balance or [], leverage, start, end, seed,
    )  # fmt: skip # one line a field would be a page
    chosen = await spec_from(shell, options)
    labels = {**chosen.labels, **_pairs(label or [], "--label")}
    made = await shell.mesh.backtests.create(chosen.spec, name=name or chosen.name, labels=labels)
    if detach:
        _accepted(shell, made)
    else:
        await _follow(shell, made.backtest_id)


def _pairs(pairs: Sequence[str], option: str) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"{option} must be NAME=VALUE, not '{pair}'.")
    return dict(pair.split("=", 1) for pair in pairs)


def _accepted(shell: Shell, made: pb.Backtest) -> None:
    if shell.out.as_json:
        shell.out.json(made)
    else:
        shell.out.say(f"{made.backtest_id} {state_name(made.state)}")
        shell.out.note(f"meshctl backtest watch {made.backtest_id[:8]}")


async def _follow(shell: Shell, backtest_id: str) -> None:
    """Show progress to the end, then the result; leaving early leaves the run alone."""
    try:
        with run_bar(shell.out) as progress:
            done = await shell.mesh.backtests.wait(backtest_id, progress=progress)
    except asyncio.CancelledError:
        _goes_on(shell, backtest_id)
        raise
    except JobFailed as error:
        if isinstance(error.resource, pb.Backtest) and not shell.out.as_json:
            for line in error.resource.failure.log_tail[-15:]:
                shell.out.note(f"  {line}")
            shell.out.note(f"backtest {backtest_id}")
        raise
    if shell.out.as_json:
        shell.out.json(done)
        return
    shell.out.say(f"backtest {backtest_id}")
    show_result(shell.out, done.result)
    shell.out.note(f"meshctl backtest tearsheet {backtest_id[:8]} writes an HTML report")


def _goes_on(shell: Shell, backtest_id: str) -> None:
    shell.out.say(f"\nStopped waiting. The run goes on: {backtest_id}")
    shell.out.say(f"  follow it:  meshctl backtest watch {backtest_id[:8]}")
    shell.out.say(f"  stop it:    meshctl backtest cancel {backtest_id[:8]}")


@command(app, "watch")
async def watch(shell: Shell, backtest_id: RunId) -> None:
    """Follow a run to its end and show what came out."""
    await _follow(shell, await shell.mesh.backtests.find(backtest_id))


@command(app, "ls")
async def list_(
    shell: Shell,
    state: Annotated[str, typer.Option(help="Only runs in a state, such as failed.")] = "",
    strategy: Annotated[str, typer.Option(help="Only runs of a strategy.")] = "",
    label: Annotated[str, typer.Option(help="Only runs with a label, KEY=VALUE.")] = "",
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """List runs, the newest first."""
    found = await shell.mesh.backtests.list(
        states=[_state(state)] if state else [], strategy_id=strategy, label=label, limit=limit
    )
    if shell.out.as_json:
        shell.out.json(found)
        return
    shell.out.table(
        ["backtest", "name", "state", "orders", "result", "created (UTC)"],
        [_row(each) for each in found],
        right=["orders", "result"],
        whole=["backtest", "state", "created (UTC)"],
        empty="No runs yet. `meshctl backtest run --example` makes one.",
    )


def _row(run: pb.Backtest) -> tuple[object, ...]:
    return (
        run.backtest_id[:8],
        run.name,
        state_name(run.state),
        run.result.total_orders if run.HasField("result") else "",
        _outcome(run),
        moment(run.meta.create_time)[5:16],
    )


def _outcome(run: pb.Backtest) -> str:
    if run.state == pb.BACKTEST_STATE_RUNNING:
        return f"{run.progress.fraction:.0%}"
    if run.state == pb.BACKTEST_STATE_FAILED:
        return run.failure.reason
    balances = [money for account in run.result.accounts for money in account.balances]
    return "\n".join(f"{money.amount} {money.currency}" for money in balances[:2])


def _state(text: str) -> int:
    states = {state_name(number).lower(): number for number in pb.BacktestState.values() if number}
    if text.lower() not in states:
        raise UsageError(f"--state must be one of {', '.join(states)}, not '{text}'.")
    return states[text.lower()]


@command(app, "cancel")
async def cancel(shell: Shell, backtest_id: RunId) -> None:
    """Stop a run that has not ended."""
    run = await shell.mesh.backtests.cancel(await shell.mesh.backtests.find(backtest_id))
    if shell.out.as_json:
        shell.out.json(run)
    else:
        asked = run.cancel_requested and run.state == pb.BACKTEST_STATE_RUNNING
        now = "is being cancelled" if asked else state_name(run.state)
        shell.out.say(f"{run.backtest_id} {now}")


@command(app, "rm")
async def remove(
    shell: Shell,
    backtest_id: RunId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a run that has ended, and its result."""
    found = await shell.mesh.backtests.find(backtest_id)
    shell.confirm(f"Remove {found} and its result?", yes)
    await shell.mesh.backtests.delete(found)
    if shell.out.as_json:
        shell.out.json({"backtest_id": found})
    else:
        shell.out.say(f"{found} removed")
