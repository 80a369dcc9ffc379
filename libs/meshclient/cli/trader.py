"""``meshctl trader``: make, start, stop and look at traders."""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Annotated

import typer

from mesh.execution.v1 import trader_pb2 as pb
from meshclient import samples, trader_spec
from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment
from meshclient.cli.runs import setting
from meshclient.cli.trader_view import account_text, data_text, show_trader, standing, state_line
from meshclient.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Traders: make, start, stop, watch, and their logs.")

TraderId = Annotated[str, typer.Argument(help="Trader id, such as EMA-001.", metavar="TRADER")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait until it is so.")]
Seconds = Annotated[float, typer.Option(min=1, help="Wait at most so many seconds.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
SpecFile = Annotated[
    str,
    typer.Option(
        "--file", "-f", help="Spec: .yaml, .json or .toml; see `trader example`.", metavar="FILE"
    ),
]


@command(app, "create")
async def create(
    shell: Shell,
    trader_id: Annotated[
        str, typer.Argument(help="Trader id; the file's when left out.", show_default=False)
    ] = "",
    file: SpecFile = "",
    strategy: Annotated[str, typer.Option(help="Without a file: strategy id, or id@version.")] = "",
    config: Annotated[
        list[str] | None, typer.Option("--set", help="Its config, NAME=VALUE.")
    ] = None,
    feed: Annotated[str, typer.Option(help="Live data of a feed of the mesh.")] = "",
    replay: Annotated[bool, typer.Option("--replay", help="Stored data, on its own time.")] = False,
    speed: Annotated[float, typer.Option(min=0, help="Of a replay; 0 as fast as it goes.")] = 0.0,
    sandbox: Annotated[
        list[str] | None, typer.Option(help="Venue with a simulated account, such as SIM.")
    ] = None,
    balance: Annotated[
        list[str] | None, typer.Option(help="Starting balance, such as '1000000 USD'.")
    ] = None,
    instrument: Annotated[
        list[str] | None, typer.Option(help="Instrument that it has from its start.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label, KEY=VALUE.")] = None,
    start: Annotated[
        bool, typer.Option("--start", help="Start it, and wait until it runs.")
    ] = False,
    detach: Detach = False,
) -> None:
    """Make a trader, from a spec file or from flags.

    `meshctl trader create DEMO-001 --strategy ema-cross --replay --sandbox SIM --start`
    """
    if bool(file) == bool(sandbox):
        raise UsageError("Give a spec (-f FILE), or --sandbox VENUE with --feed or --replay.")
    if file:
        made = trader_spec.load(file, trader_id)
    else:
        document = _document(
            trader_id, strategy, config or [], feed, replay, speed, sandbox or [], balance or []
        )
        document["data"]["instrument_ids"] = instrument or []
        made = trader_spec.parse(document, "the command line")
    labels = {**made.labels, **_labels(label or [])}
    trader = await shell.mesh.traders.create(made.trader_id, made.spec, labels=labels, start=start)
    if start and not detach:
        trader = await _until(shell, made.trader_id, "RUNNING", "DEGRADED", "HALTED")
        _done(shell, trader)
    elif shell.out.as_json:
        shell.out.json(trader)
    else:
        shell.out.say(f"{trader.trader_id} made, {standing(trader)}")
        shell.out.note(f"meshctl trader {'watch' if start else 'start'} {trader.trader_id}")


def _document(
    trader_id: str,
    strategy: str,
    config: Sequence[str],
    feed: str,
    replay: bool,
    speed: float,
    sandbox: Sequence[str],
    balance: Sequence[str],
) -> dict[str, dict[str, object]]:
    """Return the spec that the flags mean, as a file would have it."""
    if bool(feed) == replay:
        raise UsageError("Give one of --feed FEED and --replay.")
    strategy_id, _, version = strategy.partition("@")
    component = {
        "order_id_tag": "001",
        "strategy_id": strategy_id,
        "version": version,
        "config": dict(setting(each) for each in config),
    }
    account = {"starting_balances": list(balance or ["1000000 USD"])}
    venues = [{"venue": each.upper(), "sandbox": account} for each in sandbox]
    document: dict[str, object] = {
        "trader_id": trader_id,
        "strategies": [component] if strategy else [],
        "venues": venues,
        "data": {"mesh": feed} if feed else {"replay": {"speed": speed}},
    }
    return document  # type: ignore[return-value] # `data` is the one that is looked into


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"--label must be KEY=VALUE, not '{pair}'.")
    return dict(pair.split("=", 1) for pair in pairs)


@command(app, "update")
async def update(
    shell: Shell,
    file: SpecFile,
    trader_id: Annotated[
        str, typer.Argument(help="Trader id; the file's when left out.", show_default=False)
    ] = "",
) -> None:
    """Replace the spec of a trader that does not run; its orders, positions and balances stay."""
    made = trader_spec.load(file, trader_id)
    labels = made.labels or None
    show_trader(
        shell.out, await shell.mesh.traders.update(made.trader_id, made.spec, labels=labels)
    )


@command(app, "example")
async def example(shell: Shell) -> None:
    """Print a spec file with all that it may hold, explained; it fits a fresh mesh."""
    text = resources.files(samples).joinpath("trader.yaml").read_text("utf-8")
    if shell.out.as_json:
        shell.out.json({"file": "trader.yaml", "text": text})
    else:
        typer.echo(text, nl=False)


@command(app, "ls")
async def list_(
    shell: Shell,
    state: Annotated[list[str] | None, typer.Option(help="Only in this state.")] = None,
    label: Annotated[str, typer.Option(help="Only with a label, KEY=VALUE.")] = "",
    limit: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """List the traders."""
    found = await shell.mesh.traders.list(states=state or [], label=label, limit=limit)
    if shell.out.as_json:
        shell.out.json(found)
        return
    shell.out.table(
        ["trader", "state", "strategies", "accounts", "data", "since (UTC)"],
        [_row(each) for each in found],
        whole=["trader", "state", "since (UTC)"],
        empty="No traders. `meshctl trader example` prints a spec to begin with.",
        drop=["since (UTC)", "data", "accounts"],
    )


def _row(trader: pb.Trader) -> tuple[object, ...]:
    return (
        trader.trader_id,
        standing(trader),
        " ".join(each.strategy_id for each in trader.spec.strategies) or "by hand",
        " ".join(account_text(each) for each in trader.spec.venues),
        data_text(trader.spec.data),
        moment(trader.state_time)[5:16],
    )


@command(app, "get")
async def get(shell: Shell, trader_id: TraderId) -> None:
    """Show a trader: state, strategies, accounts, process."""
    show_trader(shell.out, await shell.mesh.traders.get(trader_id))


@command(app, "start")
async def start(
    shell: Shell, trader_id: TraderId, detach: Detach = False, seconds: Seconds = 120.0
) -> None:
    """Start a trader and wait until it runs; a failure ends with exit code 5."""
    trader = await shell.mesh.traders.start(trader_id)
    if not detach:
        trader = await _until(shell, trader_id, "RUNNING", "DEGRADED", "HALTED", seconds=seconds)
    _done(shell, trader)


@command(app, "stop")
async def stop(
    shell: Shell,
    trader_id: TraderId,
    cancel_orders: Annotated[
        bool, typer.Option("--cancel-orders", help="Cancel all open orders first.")
    ] = False,
    close_positions: Annotated[
        bool, typer.Option("--close-positions", help="Close all positions at the market first.")
    ] = False,
    detach: Detach = False,
    seconds: Seconds = 120.0,
) -> None:
    """Stop a trader and wait until it has; orders and positions stay unless told otherwise."""
    trader = await shell.mesh.traders.stop(
        trader_id, cancel_orders=cancel_orders, close_positions=close_positions
    )
    if not detach:
        trader = await _until(shell, trader_id, "STOPPED", "FAILED", seconds=seconds)
    _done(shell, trader)


async def _until(shell: Shell, trader_id: str, *states: str, seconds: float = 120.0) -> pb.Trader:
    """Wait for a state, saying each one on the way."""
    told: list[str] = []

    def progress(trader: pb.Trader) -> None:
        line = state_line(trader)
        if not told or told[-1] != line:
            told.append(line)
            shell.out.note(line)

    return await shell.mesh.traders.wait(trader_id, *states, seconds=seconds, progress=progress)


def _done(shell: Shell, trader: pb.Trader) -> None:
    if shell.out.as_json:
        shell.out.json(trader)
        return
    shell.out.say(f"{trader.trader_id} {standing(trader)}")
    if trader.state == pb.TRADER_STATE_RUNNING:
        shell.out.note(f"meshctl trader watch {trader.trader_id}")


@command(app, "rm")
async def remove(
    shell: Shell,
    trader_id: TraderId,
    force: Annotated[
        bool, typer.Option("--force", help="Although something is open at a real venue.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Remove a trader that does not run, with its history."""
    shell.confirm(f"Remove {trader_id} with all its orders and facts?", yes)
    await shell.mesh.traders.delete(trader_id, force=force)
    if shell.out.as_json:
        shell.out.json({"trader_id": trader_id})
    else:
        shell.out.say(f"{trader_id} removed")


@command(app, "log")
async def log(
    shell: Shell,
    trader_id: TraderId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes after.")
    ] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=1, max=10_000)] = 100,
    grep: Annotated[str, typer.Option(help="Only lines that hold this text.")] = "",
) -> None:
    """Print a trader's log."""
    lines = shell.mesh.traders.log(trader_id, tail=tail, follow=follow, contains=grep)
    found: list[str] = []
    async for line in lines:
        if shell.out.as_json and not follow:
            found.append(line)
        elif shell.out.as_json:
            typer.echo(json.dumps({"line": line}))
        else:
            typer.echo(line)
    if shell.out.as_json and not follow:
        shell.out.json({"trader_id": trader_id, "lines": found})
