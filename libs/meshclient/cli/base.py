"""What all commands share: options, the opened client, errors and exit codes."""

import asyncio
import functools
import inspect
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from meshclient import profiles
from meshclient.cli.hints import hint
from meshclient.cli.output import Output
from meshclient.client import MeshClient
from meshclient.errors import JobFailed, MeshClientError, UsageError

USAGE, AUTH, NOT_FOUND, FAILED, OTHER, INTERRUPTED = 2, 3, 4, 5, 1, 130

_EXITS = {
    "INVALID_ARGUMENT": USAGE,
    "UNAUTHENTICATED": AUTH,
    "PERMISSION_DENIED": AUTH,
    "NOT_FOUND": NOT_FOUND,
}

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
ProfileName = Annotated[str, typer.Option("--profile", help="Profile to use.", show_default=False)]
Project = Annotated[str, typer.Option("--project", help="Project to act in.", show_default=False)]

_COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    for name, kind, default in (
        ("as_json", Json, False),
        ("profile", ProfileName, ""),
        ("project", Project, ""),
    )
]


class Shell:
    """What a command works with: ``out`` to print, ``mesh`` to call (opened when first used)."""

    def __init__(self, out: Output, profile: str, project: str) -> None:
        self.out = out
        self.profile_name = profile
        self.project = project
        self._mesh: MeshClient | None = None

    @property
    def mesh(self) -> MeshClient:
        """The client of the chosen profile."""
        if self._mesh is None:
            self._mesh = MeshClient(profiles.load(self.profile_name), project=self.project or None)
        return self._mesh

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something that cannot be taken back; without a terminal `--yes` is needed."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageError("This cannot be taken back: repeat it with --yes.")
        typer.confirm(question, abort=True, err=True)

    async def close(self) -> None:
        """Close the client, if it was used."""
        if self._mesh is not None:
            await self._mesh.close()


Work = Callable[..., Awaitable[None]]


def command(app: typer.Typer, name: str) -> Callable[[Work], Work]:
    """Register an async function ``(shell, …options)`` as a command.

    ``--json``, ``--profile`` and ``--project`` are added to its options.
    """

    def register(work: Work) -> Work:
        signature = inspect.signature(work)
        parameters = [*list(signature.parameters.values())[1:], *_COMMON]

        @functools.wraps(work)
        def call(as_json: bool, profile: str, project: str, **values: Any) -> None:
            _run(work, Shell(Output(as_json), profile, project), values)

        del call.__wrapped__  # Typer would look through to the bare function
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # how a signature is set
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name)(call)
        return work

    return register


def _run(work: Work, shell: Shell, values: dict[str, Any]) -> None:
    async def main() -> None:
        try:
            await work(shell, **values)
        finally:
            await shell.close()

    try:
        asyncio.run(main())
    except MeshClientError as error:
        report(error, as_json=shell.out.as_json)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _silence_stdout()  # the reader, such as `head`, has seen enough
        raise typer.Exit(0) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # the last net: a person sees a sentence, not a traceback
        if os.environ.get("MESHCTL_DEBUG"):
            raise
        report(_fault(error), as_json=shell.out.as_json)
        raise typer.Exit(OTHER) from None


def exit_code(error: MeshClientError) -> int:
    """Return 2 for bad input, 3 for access, 4 for what is not there, 5 for failed work, else 1."""
    return FAILED if isinstance(error, JobFailed) else _EXITS.get(error.code, OTHER)


def report(error: MeshClientError, *, as_json: bool) -> None:
    """Print an error on stderr: reason, message, places, remedy."""
    if as_json:
        print(json.dumps({"error": error.as_dict()}), file=sys.stderr)
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{error.reason}[/]", end=" ")
    console.print(error.message, markup=False)
    for violation in error.violations[:20]:
        console.print(f"  {violation.field}: {violation.description}", markup=False)
    if told := hint(error):
        console.print("[bold]→[/]", end=" ")
        console.print(told, markup=False)


def _fault(error: Exception) -> MeshClientError:
    return MeshClientError(
        f"meshctl met {type(error).__name__}: {error}. MESHCTL_DEBUG=1 shows where.",
        reason="CLIENT_FAULT",
    )


def _silence_stdout() -> None:
    """Keep the interpreter from complaining about the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
