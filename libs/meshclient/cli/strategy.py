"""``meshctl strategy``: strategies, actors and execution algorithms and their versions."""

import json
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from mesh.strategy.v1 import strategy_pb2 as pb
from meshclient.cli.base import Shell, command
from meshclient.cli.schema import INHERITED, config_rows
from meshclient.errors import MeshClientError, SpecError, UsageError
from meshclient.strategies import KINDS, source_from

app = typer.Typer(no_args_is_help=True, help="Add, list, show and check strategies.")

StrategyId = Annotated[str, typer.Argument(help="The strategy's id, or id@version.")]
Code = Annotated[
    str,
    typer.Argument(help="A .py file, a folder (package), or package.module:Class.", metavar="CODE"),
]
Kind = Annotated[str, typer.Option(help=f"One of: {', '.join(KINDS)}.")]
ClassName = Annotated[str, typer.Option("--class", help="The class, where the code has several.")]


@command(app, "add")
async def add(
    shell: Shell,
    code: Code,
    strategy_id: Annotated[
        str, typer.Option("--id", help="Its id; from the file's name when left out.")
    ] = "",
    kind: Kind = "strategy",
    class_name: ClassName = "",
) -> None:
    """Store code: a new strategy, or a new version of one. The same code is the same version."""
    _check_kind(kind)
    name = strategy_id or _id_from(code)
    source = source_from(code, class_name)
    version, existed = await shell.mesh.strategies.add(name, source, kind=kind)
    if shell.out.as_json:
        shell.out.json({"version": version, "existed": existed})
        return
    shell.out.say(f"{name}@{version.version[:12]} {'was there already' if existed else 'added'}")
    _show_version(shell, version)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"--kind must be one of {', '.join(KINDS)}, not '{kind}'.")


def _id_from(code: str) -> str:
    stem = code.rpartition(":")[2] if ":" in code else Path(code).resolve().stem
    return stem.lower().replace("_", "-").strip("-")


@command(app, "ls")
async def list_(shell: Shell, kind: Kind = "") -> None:
    """List strategies."""
    if kind:
        _check_kind(kind)
    found = await shell.mesh.strategies.list(kind=kind)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.strategy_id,
            _kind_name(each.kind),
            each.version_count,
            each.latest_version[:12],
            each.meta.update_time,
        )
        for each in found
    ]
    shell.out.table(
        ["strategy", "kind", "versions", "latest", "updated (UTC)"],
        rows,
        right=["versions"],
        whole=["latest"],
        empty="No strategies. `meshctl strategy add FILE.py` stores one.",
    )


def _kind_name(number: int) -> str:
    return next((name for name, each in KINDS.items() if each == number), "?")


@command(app, "show")
async def show(
    shell: Shell,
    strategy_id: StrategyId,
    code: Annotated[bool, typer.Option("--code", help="Print the source.")] = False,
) -> None:
    """Show a strategy's version: its class and the fields of its config."""
    name, _, wanted = strategy_id.partition("@")
    version = await shell.mesh.strategies.version(name, wanted or "latest")
    if shell.out.as_json:
        shell.out.json(version)
    elif code:
        _print_code(shell, version)
    else:
        shell.out.say(f"{name}@{version.version}")
        _show_version(shell, version)


def _print_code(shell: Shell, version: pb.StrategyVersion) -> None:
    files = version.source.files
    for file in files:
        if len(files) > 1:
            shell.out.say(f"# --- {file.path}")
        shell.out.say(file.text.rstrip("\n"))
    if not files:
        shell.out.say(version.source.importable_path)


def _show_version(shell: Shell, version: pb.StrategyVersion) -> None:
    shell.out.fields([("class", version.class_name), ("config", version.config_class_name)])
    schema = json_format.MessageToDict(version.config_schema)
    rows = list(config_rows(schema, set(version.required_fields)))
    own = [row for row in rows if row[0] not in INHERITED]
    if own:
        shell.out.table(["field", "type", "default"], own)
    if len(rows) > len(own):
        shell.out.note(f"and {len(rows) - len(own)} fields of Nautilus itself (--json has all)")


@command(app, "versions")
async def versions(shell: Shell, strategy_id: StrategyId) -> None:
    """List the versions of a strategy, the newest first."""
    found = await shell.mesh.strategies.versions(strategy_id)
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [(each.version[:12], each.class_name, each.owner, each.create_time) for each in found]
    shell.out.table(["version", "class", "owner", "created (UTC)"], rows, whole=["version"])


@command(app, "validate")
async def validate(
    shell: Shell,
    code: Code,
    kind: Kind = "strategy",
    class_name: ClassName = "",
    config: Annotated[
        Path | None, typer.Option(help="Check a JSON config; CODE is then a stored id[@version].")
    ] = None,
) -> None:
    """Check code as `add` does and keep nothing, or check a config against a stored version."""
    if config is not None:
        await _validate_config(shell, code, config)
        return
    _check_kind(kind)
    version = await shell.mesh.strategies.validate(source_from(code, class_name), kind)
    if shell.out.as_json:
        shell.out.json(version)
    else:
        shell.out.say(f"{code} is fine; it would be version {version.version[:12]}")
        _show_version(shell, version)


async def _validate_config(shell: Shell, strategy_id: str, file: Path) -> None:
    name, _, wanted = strategy_id.partition("@")
    try:
        config = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise MeshClientError(
            f"{file}: {error.strerror}", code="INVALID_ARGUMENT", reason="FILE_UNREADABLE"
        ) from None
    except ValueError as error:
        raise SpecError(f"{file}: {error}.") from None
    found = await shell.mesh.strategies.validate_config(name, config, wanted or "latest")
    if shell.out.as_json:
        shell.out.json({"violations": found})
    elif not found:
        shell.out.say(f"{file} fits {strategy_id}")
    if found:
        if not shell.out.as_json:
            shell.out.table(["place", "fault"], [(v.path, v.description) for v in found])
        raise typer.Exit(2)


@command(app, "rm")
async def remove(
    shell: Shell,
    strategy_id: StrategyId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a strategy and its versions; runs keep their own copy of the code."""
    shell.confirm(f"Remove {strategy_id} and its versions?", yes)
    await shell.mesh.strategies.delete(strategy_id)
    if shell.out.as_json:
        shell.out.json({"strategy_id": strategy_id})
    else:
        shell.out.say(f"{strategy_id} removed")
