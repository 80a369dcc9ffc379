"""``meshctl md replay``: pause, move and time a replay."""

from datetime import datetime
from typing import Annotated

import typer

from meshclient.cli.base import Shell, command
from meshclient.cli.md import FeedId, show_feed
from meshclient.cli.md import app as app  # this group is added to it
from meshclient.errors import UsageError

replay = typer.Typer(no_args_is_help=True, help="Pause, move and time a replay of stored data.")
app.add_typer(replay, name="replay")


@command(replay, "pause")
async def pause(shell: Shell, feed_id: FeedId) -> None:
    """Stop the data where it is."""
    show_feed(shell, await shell.mesh.feeds.pause(feed_id))


@command(replay, "resume")
async def resume(shell: Shell, feed_id: FeedId) -> None:
    """Let a paused replay go on."""
    show_feed(shell, await shell.mesh.feeds.resume(feed_id))


@command(replay, "seek")
async def seek(
    shell: Shell,
    feed_id: FeedId,
    position: Annotated[str, typer.Argument(help="Time, UTC, such as 2024-01-01T12:00.")],
) -> None:
    """Move a replay to another time; its readers are told the gap."""
    try:
        time = datetime.fromisoformat(position)
    except ValueError:
        raise UsageError(f"'{position}' must be a time such as 2024-01-01T12:00.") from None
    show_feed(shell, await shell.mesh.feeds.seek(feed_id, time))


@command(replay, "speed")
async def speed(
    shell: Shell,
    feed_id: FeedId,
    times: Annotated[float, typer.Argument(min=0, help="Seconds of data in one; 0: no limit.")],
) -> None:
    """Set how fast a replay is."""
    show_feed(shell, await shell.mesh.feeds.speed(feed_id, times))
