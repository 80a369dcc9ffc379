"""``meshctl``: all command groups, and the commands about the mesh itself."""

import sys
from typing import Annotated

import typer

from meshclient import profiles
from meshclient.cli import (
    backtest_results,
    credential,
    data_import,
    data_instruments,
    halt,
    keys,
    md,
    md_book,
    md_history,
    md_replay,
    md_watch,
    order,
    strategy,
    trade_watch,
    trader,
    trader_strategy,
)
from meshclient.cli.base import Shell, command
from meshclient.client import MeshClient
from meshclient.profiles import Profile

app = typer.Typer(
    name="meshctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Store strategies, import market data, run backtests, watch markets and trade on a "
    "nautilus-mesh.",
    epilog="Everywhere: --json, --profile NAME, --project NAME. Exit codes: 2 bad input, 3 access, "
    "4 not found, 5 the run, import or trader failed or not flat, 1 anything else.",
)
# Modules that share a group add to one app: importing each is what registers its commands.
assert data_instruments.app is data_import.app
assert trade_watch.apps == (order.app, trader.app)

assert md_book.app is md_history.app is md_replay.app is md_watch.app is md.app
app.add_typer(strategy.app, name="strategy")
app.add_typer(data_import.app, name="data")
app.add_typer(md.app, name="md")
app.add_typer(backtest_results.app, name="backtest")
trader.app.add_typer(trader_strategy.app, name="strategy")
app.add_typer(trader.app, name="trader")
app.add_typer(order.app, name="order")
app.add_typer(halt.app, name="halt")
app.add_typer(credential.app, name="credential")
app.add_typer(keys.app, name="keys")


@command(app, "login")
async def login(
    shell: Shell,
    address: Annotated[
        str, typer.Argument(help="host:port (plaintext) or https://host.")
    ] = profiles.DEFAULT_ADDRESS,
    api_key: Annotated[
        str, typer.Option(envvar="MESH_API_KEY", help="The key; asked for when left out.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the profile.")] = profiles.DEFAULT_NAME,
) -> None:
    """Check an API key against a mesh and keep both as a profile."""
    key = api_key or typer.prompt("API key", hide_input=True, err=True)
    project = shell.project
    async with MeshClient(Profile(name, address, key, project)) as mesh:
        who = await mesh.who_am_i()
    file = profiles.write(name, address, key, project)
    if shell.out.as_json:
        shell.out.json({"profile": name, "file": str(file), "subject": who.subject})
    else:
        shell.out.say(f"Hello {who.subject}. Profile '{name}' is in {file}")


@command(app, "whoami")
async def whoami(shell: Shell) -> None:
    """Show who you are to the mesh: subject, scopes, projects."""
    who = await shell.mesh.who_am_i()
    if shell.out.as_json:
        shell.out.json(who)
        return
    shell.out.fields(
        [
            ("subject", who.subject),
            ("scopes", " ".join(who.scopes)),
            ("projects", " ".join(who.projects)),
            ("profile", shell.mesh.profile.name),
            ("address", shell.mesh.profile.address),
        ]
    )


@command(app, "info")
async def info(shell: Shell) -> None:
    """Show the versions and services of the mesh."""
    found = await shell.mesh.info()
    if shell.out.as_json:
        shell.out.json(found)
        return
    shell.out.fields(
        [
            ("nautilus-mesh", found.version),
            ("nautilus_trader", found.nautilus_trader_version),
            ("python", found.python_version),
            ("contracts", found.contracts_version[:12]),
        ]
    )
    rows = [(each.name, len(each.methods)) for each in found.services]
    shell.out.table(["service", "methods"], rows, right=["methods"])


def run() -> None:
    """Run ``meshctl``; the entry point."""
    sys.exit(app())
