"""``meshctl credential``: secrets of venues. They come by prompt, file or stdin, never as
arguments: other users of a machine see those, and shells keep them.
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.execution.v1 import credential_service_pb2 as rpc
from meshclient import spec
from meshclient.cli.base import Shell, command
from meshclient.cli.output import moment
from meshclient.errors import SpecError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="Keep the secrets of venues: written once, read by nobody but a trader that needs them.",
)

CredentialId = Annotated[str, typer.Argument(help="Credential id.", metavar="CREDENTIAL")]
Secrets = Annotated[
    str,
    typer.Option(
        "--from",
        help="A JSON, YAML or TOML file of FIELD: SECRET, or - for lines FIELD=SECRET on stdin. "
        "Asked for when left out.",
        metavar="FILE|-",
        show_default=False,
    ),
]
Expires = Annotated[
    str,
    typer.Option(
        help="When it is no longer used: a date, or days such as 90d.", show_default=False
    ),
]


@command(app, "create")
async def create(
    shell: Shell,
    credential_id: CredentialId,
    adapter: Annotated[str, typer.Argument(help="Adapter, as `md venues` lists it.")],
    source: Secrets = "",
    expires: Expires = "",
) -> None:
    """Store the secrets of an account. The mesh never shows them again."""
    venue = await shell.mesh.feeds.venue(adapter.upper())
    fields = [(each.field, each.required) for each in venue.credentials]
    if not fields:
        raise UsageError(f"{venue.venue} takes no secrets, so there is nothing to keep.")
    secrets = _secrets(source, fields)
    made = await shell.mesh.credentials.create(
        credential_id, venue.venue, secrets, expire_time=_expire_time(expires)
    )
    _show(shell, made)
    if not shell.out.as_json:
        shell.out.note(f"a trader's venue names it: live: {{credential_id: {credential_id}}}")


@command(app, "rotate")
async def rotate(
    shell: Shell, credential_id: CredentialId, source: Secrets = "", expires: Expires = ""
) -> None:
    """Replace all secrets and the expiry; traders have the new ones from their next start."""
    found = await shell.mesh.credentials.get(credential_id)
    secrets = _secrets(source, [(each, True) for each in found.secret_fields])
    _show(
        shell,
        await shell.mesh.credentials.rotate(
            credential_id, secrets, expire_time=_expire_time(expires), etag=found.meta.etag
        ),
    )


@command(app, "ls")
async def list_(shell: Shell) -> None:
    """List credentials, without their secrets."""
    found = await shell.mesh.credentials.list()
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.credential_id,
            each.adapter,
            " ".join(each.secret_fields),
            _standing(each),
            moment(each.rotated_time)[:16] or moment(each.meta.create_time)[:16],
        )
        for each in found
    ]
    shell.out.table(
        ["credential", "adapter", "secrets", "standing", "written (UTC)"],
        rows,
        whole=["credential", "written (UTC)"],
        empty="No credentials. `meshctl credential create ID ADAPTER` makes one.",
    )


@command(app, "get")
async def get(shell: Shell, credential_id: CredentialId) -> None:
    """Show a credential, without its secrets."""
    _show(shell, await shell.mesh.credentials.get(credential_id))


@command(app, "rm")
async def remove(
    shell: Shell,
    credential_id: CredentialId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a credential that no trader names."""
    shell.confirm(f"Remove {credential_id}? Its secrets are gone then.", yes)
    await shell.mesh.credentials.delete(credential_id)
    if shell.out.as_json:
        shell.out.json({"credential_id": credential_id})
    else:
        shell.out.say(f"{credential_id} removed")


def _secrets(source: str, fields: Sequence[tuple[str, bool]]) -> Mapping[str, str]:
    """Return the secrets of the fields, each a name and whether it must be."""
    if source == "-":
        return _from_lines(sys.stdin.read().splitlines())
    if source:
        return _from_file(Path(source))
    if not sys.stdin.isatty():
        raise UsageError("Secrets come by --from FILE, by --from - (stdin), or at a prompt.")
    answers = {name: _asked(name, required) for name, required in fields}
    found = {name: answer for name, answer in answers.items() if answer}
    if not found:
        raise UsageError("No secret was given.")
    return found


def _asked(name: str, required: bool) -> str:
    """Ask without an echo; a field that may be left out is left out by an empty line."""
    told = name if required else f"{name} (empty: none)"
    default = None if required else ""
    answer: str = typer.prompt(told, default=default, hide_input=True, show_default=False, err=True)
    return answer.strip()


def _from_lines(lines: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for number, line in enumerate(lines, 1):
        name, sign, value = line.partition("=")
        if line.strip() and (not sign or not name.strip() or not value.strip()):
            raise UsageError(f"Line {number} of the secrets is not FIELD=SECRET.")
        if line.strip():
            found[name.strip()] = value.strip()
    if not found:
        raise UsageError("No secret came on stdin: lines FIELD=SECRET are expected.")
    return found


def _from_file(path: Path) -> Mapping[str, str]:
    """Return what a file holds; its errors name places and never a content."""
    try:
        document: Any = spec.document(path)
    except SpecError:  # the words of a parser may quote what it could not read
        raise UsageError(f"{path} cannot be read as a table of FIELD: SECRET.") from None
    if not isinstance(document, Mapping) or not document:
        raise UsageError(f"{path} must hold a table of FIELD: SECRET.")
    for name, value in document.items():
        if not isinstance(value, str) or not value:
            raise UsageError(f"{path}: '{name}' must be text; put it in quotes.")
    return {str(name): value for name, value in document.items()}


def _expire_time(text: str) -> datetime | None:
    if not text:
        return None
    if text.endswith("d") and text[:-1].isdigit():
        return datetime.now(UTC) + timedelta(days=int(text[:-1]))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--expires must be a date or days such as 90d, not '{text}'.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _show(shell: Shell, each: rpc.Credential) -> None:
    if shell.out.as_json:
        shell.out.json(each)
        return
    shell.out.fields(
        [
            ("credential", each.credential_id),
            ("adapter", each.adapter),
            ("secrets", " ".join(each.secret_fields)),
            ("standing", _standing(each)),
            ("made (UTC)", moment(each.meta.create_time)),
            ("rotated (UTC)", moment(each.rotated_time)),
            ("owner", each.meta.owner),
        ]
    )


def _standing(each: rpc.Credential) -> str:
    if not each.HasField("expire_time"):
        return "good"
    over = each.expire_time.ToDatetime(tzinfo=UTC) <= datetime.now(UTC)
    return "EXPIRED" if over else f"until {moment(each.expire_time)[:16]}"
