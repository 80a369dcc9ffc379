"""``meshctl keys``: API keys."""

from datetime import timedelta
from typing import Annotated

import typer

from mesh.gateway.v1 import auth_pb2 as pb
from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys (auth.admin).")

ALL_SCOPES = (
    "strategy.read",
    "strategy.write",
    "data.read",
    "data.write",
    "backtest.read",
    "backtest.run",
    "trader.read",
    "trader.write",
    "order.read",
    "order.write",
    "safety.halt",
    "credential.read",
)


@command(app, "create")
async def create(
    shell: Shell,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Scope; when none is named all but auth.admin, trader.deploy, "
            "safety.reset and credential.write."
        ),
    ] = None,
    in_project: Annotated[
        list[str] | None, typer.Option(help="Project; your own when none is named.")
    ] = None,
    subject: Annotated[str, typer.Option(help="Who owns what it creates; you when empty.")] = "",
    days: Annotated[
        float | None, typer.Option(min=0, help="Life in days; without end if left out.")
    ] = None,
) -> None:
    """Make an API key and show it, once."""
    reply = await shell.mesh.keys.create(
        name,
        scope or ALL_SCOPES,
        projects=in_project or [],
        subject=subject,
        lifetime=None if days is None else timedelta(days=days),
    )
    if shell.out.as_json:
        shell.out.json(reply)
        return
    shell.out.fields(_facts(reply.api_key))
    if reply.secret:
        shell.out.say(f"\n{reply.secret}\n")
        shell.out.note("This is shown once. `meshctl login` takes it on another machine.")


def _facts(key: pb.ApiKey) -> list[tuple[str, object]]:
    return [
        ("key id", key.api_key_id),
        ("name", key.display_name),
        ("subject", key.subject),
        ("scopes", " ".join(key.scopes)),
        ("projects", " ".join(key.projects)),
        ("expires (UTC)", moment(key.expire_time) or "never"),
    ]


@command(app, "ls")
async def list_(shell: Shell) -> None:
    """List API keys, without their secrets."""
    found = await shell.mesh.keys.list()
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.api_key_id,
            each.display_name,
            each.subject,
            _standing(each),
            moment(each.last_use_time)[:16],
        )
        for each in found
    ]
    columns = ["key id", "name", "subject", "standing", "last used (UTC)"]
    shell.out.table(columns, rows, whole=["key id"], empty="No keys.")


def _standing(key: pb.ApiKey) -> str:
    if key.HasField("revoke_time"):
        return "revoked"
    return f"until {moment(key.expire_time)[:16]}" if key.HasField("expire_time") else "good"


@command(app, "revoke")
async def revoke(
    shell: Shell,
    key_id: Annotated[str, typer.Argument(help="The key's id.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Refuse a key from now on."""
    shell.confirm(f"Revoke {key_id}?", yes)
    key = await shell.mesh.keys.revoke(key_id)
    if shell.out.as_json:
        shell.out.json(key)
    else:
        shell.out.say(f"{key.api_key_id} revoked")
