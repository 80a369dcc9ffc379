"""``meshctl halt``: the kill switch, through the mesh or past it."""

import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1.safety_service_pb2 import HaltResponse
from meshclient import profiles, words
from meshclient.cli.base import Shell, command
from meshclient.cli.flatten_view import FlattenShow, show_flatten
from meshclient.cli.output import moment
from meshclient.errors import JobFailed, MeshClientError, ProfileError, UsageError
from meshclient.latch import EVERYTHING, Latched, latch_key, open_latch
from meshclient.safety import scope, scope_text

app = typer.Typer(
    no_args_is_help=True,
    help="The kill switch: forbid to trade, flatten, and let trade again.",
)

All = Annotated[bool, typer.Option("--all", help="All traders of the project.")]
Venue = Annotated[str, typer.Option(help="Orders of all traders at a venue, such as BINANCE.")]
TraderOf = Annotated[str, typer.Option("--trader", help="One trader.")]
StrategyOf = Annotated[
    str,
    typer.Option("--strategy", help="One strategy: TRADER:TAG, or its tag beside --trader."),
]
Reason = Annotated[str, typer.Option(help="Why, for people.")]
Direct = Annotated[
    bool,
    typer.Option("--direct", help="Past the mesh: the latch in Redis (MESH_LATCH_URL)."),
]


@command(app, "set")
async def set_(
    shell: Shell,
    all_: All = False,
    venue: Venue = "",
    trader: TraderOf = "",
    strategy: StrategyOf = "",
    reason: Reason = "",
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Cancel all orders and close all positions as well.")
    ] = False,
    reducing: Annotated[
        bool, typer.Option("--reducing", help="Let orders pass that reduce a position.")
    ] = False,
    direct: Direct = False,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="With --direct: every trader of the mesh.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not wait until what --flatten closes is flat.")
    ] = False,
) -> None:
    """Halt: forbid to trade, at once and until `halt reset`.

    With --flatten it ends with exit code 5 unless everything is flat, as read back from the venues.
    """
    if all_projects:
        if not direct or venue or trader or strategy:
            raise UsageError("--all-projects stands beside --direct, and is a scope of its own.")
        await _set_direct(shell, EVERYTHING, reason, flatten, reducing)
        return
    reach = _reach(all_, venue, trader, strategy)
    if direct:
        key = latch_key(_direct_project(shell), scope(**reach))
        await _set_direct(shell, key, reason, flatten, reducing)
        return
    try:
        reply = await shell.mesh.safety.halt(
            **reach, reason=reason, flatten=flatten, reducing=reducing
        )
    except MeshClientError as error:
        if error.code == "UNAVAILABLE":
            shell.out.say("NOT HALTED: the mesh does not answer. The same with --direct halts.")
        raise
    await _told(shell, reply, detach)


async def _told(shell: Shell, reply: HaltResponse, detach: bool) -> None:
    waits = bool(reply.flatten.flatten_id) and not detach
    if not shell.out.as_json:
        shell.out.say(f"HALTED {scope_text(reply.halt.scope)}  {reply.halt.halt_id}")
        if not waits:
            shell.out.note(f"meshctl halt reset {reply.halt.halt_id[:8]} lets it trade again")
    elif not waits:
        shell.out.json(reply)
    if waits:
        await _follow(shell, reply.flatten, reply)


async def _follow(shell: Shell, flatten: pb.Flatten, reply: HaltResponse | None) -> None:
    """Show a flatten to its end; raises ``JobFailed`` (exit code 5) when something is left."""
    with FlattenShow(shell.out) as show:
        done = await shell.mesh.safety.wait_flat(flatten.flatten_id, progress=show.take)
    if shell.out.as_json:
        shell.out.json({"halt": reply.halt, "flatten": done} if reply else done)
    else:
        show_flatten(shell.out, done)
    if done.state != pb.FLATTEN_STATE_FLAT:
        raise JobFailed("NOT FLAT: something is left, as listed.", reason="NOT_FLAT", resource=done)


def _reach(all_: bool, venue: str, trader: str, strategy: str) -> dict[str, Any]:
    """Return the keywords of a scope."""
    if ":" in strategy and not trader:
        trader, _, strategy = strategy.partition(":")
    reach: dict[str, Any] = {
        "all": all_,
        "venue": venue.upper(),
        "trader": trader,
        "strategy": strategy,
    }
    try:
        scope(**reach)
    except MeshClientError:
        raise UsageError(
            "Name one scope: --all, --venue, --trader, or --strategy TRADER:TAG."
        ) from None
    return reach


async def _set_direct(shell: Shell, key: str, reason: str, flatten: bool, reducing: bool) -> None:
    async with open_latch(_latch_url(shell)) as latch:
        made = await latch.set(key, reason=reason, flatten=flatten, reducing=reducing)
    if shell.out.as_json:
        shell.out.json(vars(made))
        return
    shell.out.say(f"LATCHED {made.key}  {made.halt_id}")
    shell.out.note("set in Redis and read back: traders refuse orders from now on")
    if flatten:
        shell.out.note("traders that run flatten by themselves; `meshctl halt ls` tells when the")
        shell.out.note("mesh answers again. Traders without a process are flattened then")


def _latch_url(shell: Shell) -> str:
    """Return where the latch is; a profile is not needed for it."""
    try:
        return profiles.load(shell.profile_name).latch_url
    except ProfileError:
        return os.environ.get("MESH_LATCH_URL", "")


def _direct_project(shell: Shell) -> str:
    """Return the project, as far as it is known without the mesh."""
    if shell.project:
        return shell.project
    try:
        return profiles.load(shell.profile_name).project
    except ProfileError:
        return os.environ.get("MESH_PROJECT", "")


@command(app, "ls")
async def list_(
    shell: Shell,
    every: Annotated[bool, typer.Option("--every", help="Also those that were reset.")] = False,
    direct: Direct = False,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """List the halts in force, the newest first."""
    if direct:
        async with open_latch(_latch_url(shell)) as latch:
            _latches(shell, await latch.list())
        return
    found = await shell.mesh.safety.list(active=not every, limit=limit)
    if shell.out.as_json:
        shell.out.json(found)
        return
    shell.out.table(
        ["halt", "scope", "state", "by", "since (UTC)", "reason", "heeded by"],
        [_row(each) for each in found],
        whole=["halt", "scope", "since (UTC)"],
        empty="No halts are in force.",
        drop=["heeded by", "by", "since (UTC)"],
    )


def _row(halt: pb.Halt) -> tuple[object, ...]:
    state = words.name(pb.HaltState, halt.state).lower()
    return (
        halt.halt_id[:8],
        scope_text(halt.scope),
        f"{state}, reducing" if halt.reducing and state == "active" else state,
        halt.set_by or words.name(pb.HaltSource, halt.source).lower(),
        moment(halt.set_time)[5:],
        halt.reason,
        " ".join(halt.acknowledged_trader_ids),
    )


def _latches(shell: Shell, found: Sequence[Latched]) -> None:
    if shell.out.as_json:
        shell.out.json([vars(each) for each in found])
        return
    rows = [
        (
            each.key,
            "reducing" if each.reducing else "",
            each.by,
            each.time[:19].replace("T", " "),
            each.reason,
        )
        for each in found
    ]
    shell.out.table(
        ["latch", "", "by", "since (UTC)", "reason"],
        rows,
        whole=["latch", "since (UTC)"],
        drop=["", "by"],
        empty="No latch is set.",
    )


@command(app, "reset")
async def reset(
    shell: Shell,
    halt_id: Annotated[str, typer.Argument(help="Halt id, or its first digits.", metavar="HALT")],
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a halt: what it forbade may trade again. Needs the scope safety.reset."""
    found = await shell.mesh.safety.find(halt_id)
    halt = await shell.mesh.safety.get(found)
    shell.confirm(f"Let {scope_text(halt.scope)} trade again?", yes)
    halt = await shell.mesh.safety.reset(found, reason=reason)
    if shell.out.as_json:
        shell.out.json(halt)
    else:
        shell.out.say(f"{halt.halt_id} reset: {scope_text(halt.scope)} may trade")


@command(app, "flatten")
async def flatten(
    shell: Shell,
    all_: All = False,
    venue: Venue = "",
    trader: TraderOf = "",
    strategy: StrategyOf = "",
    reason: Reason = "",
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Cancel all orders and close all positions in a scope, without a halt.

    Ends with exit code 5 unless everything is flat, as read back from the venues.
    """
    reach = _reach(all_, venue, trader, strategy)
    shell.confirm(f"Cancel and close everything of {scope_text(scope(**reach))}?", yes)
    made = await shell.mesh.safety.flatten(**reach, reason=reason)
    if not detach:
        await _follow(shell, made, None)
    elif shell.out.as_json:
        shell.out.json(made)
    else:
        shell.out.say(f"flatten {made.flatten_id} is under way")
        shell.out.note(f"meshctl halt flat {made.flatten_id} tells how it stands")


@command(app, "flat")
async def flat(shell: Shell, flatten_id: Annotated[str, typer.Argument(metavar="FLATTEN")]) -> None:
    """Show how a flatten stands and what is left."""
    found = await shell.mesh.safety.get_flatten(flatten_id)
    if shell.out.as_json:
        shell.out.json(found)
    else:
        show_flatten(shell.out, found)
