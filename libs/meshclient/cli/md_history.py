"""``meshctl md``: history from venues into the catalog."""

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from mesh.marketdata.v1 import history_job_service_pb2 as pb
from meshclient.channels import channel_text
from meshclient.cli.base import Shell, command
from meshclient.cli.md import FeedId
from meshclient.cli.md import app as app  # these commands are added to it
from meshclient.cli.output import moment
from meshclient.cli.progress import history_bar, history_state_name


@command(app, "history")
async def history(
    shell: Shell,
    feed_id: FeedId,
    channel: Annotated[
        str, typer.Argument(help="INSTRUMENT:quotes, INSTRUMENT:trades, or a bar type.")
    ],
    start: Annotated[datetime, typer.Option(help="First time, UTC.")],
    end: Annotated[datetime | None, typer.Option(help="Last time, UTC; now if left out.")] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask again for what is there already.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
) -> None:
    """Fetch history from a feed's venue into the catalog."""
    jobs = shell.mesh.history_jobs
    job = await jobs.request(feed_id, channel, start, end, refresh=refresh)
    if not detach:
        job = await _follow(shell, job)
    if shell.out.as_json:
        shell.out.json(job)
    elif detach:
        shell.out.say(f"{job.history_job_id} {history_state_name(job.state)}")
        shell.out.note("meshctl md jobs shows how far it is")
    else:
        told = f"{job.rows_received:,} rows received, {job.rows_written:,} new"
        shell.out.say(f"{told}, {job.requests} requests to the venue")


async def _follow(shell: Shell, job: pb.HistoryJob) -> pb.HistoryJob:
    """Show progress to the end; leaving early leaves the job alone."""
    try:
        with history_bar(shell.out) as progress:
            return await shell.mesh.history_jobs.wait(job.history_job_id, progress=progress)
    except asyncio.CancelledError:
        shell.out.say(f"\nStopped waiting. The job goes on: {job.history_job_id}")
        shell.out.say(f"  stop it:    meshctl md jobs --cancel {job.history_job_id[:8]}")
        raise


@command(app, "jobs")
async def jobs(
    shell: Shell,
    cancel: Annotated[str, typer.Option(help="Stop a job: its id, or first digits.")] = "",
) -> None:
    """List the jobs that fetch history, or stop one."""
    if cancel:
        found = [await shell.mesh.history_jobs.cancel(await shell.mesh.history_jobs.find(cancel))]
    else:
        found = list(await shell.mesh.history_jobs.list())
    if shell.out.as_json:
        shell.out.json(found)
        return
    rows = [
        (
            each.history_job_id[:8],
            each.feed_id,
            channel_text(each.channel),
            f"{moment(each.range.start)[:10]} – {moment(each.range.end)[:10]}",
            f"{history_state_name(each.state)} {each.progress:.0%} {each.reason}".rstrip(),
            each.rows_written,
        )
        for each in found
    ]
    columns = ["id", "feed", "channel", "range", "state", "rows"]
    shell.out.table(columns, rows, right=["rows"], whole=["id", "range"], empty="No jobs.")
