"""Live progress of long work: a bar in a terminal, a line for each change elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from mesh.backtest.v1 import backtest_pb2 as pb
from mesh.marketdata.v1 import history_job_service_pb2 as jobs
from mesh.marketdata.v1 import marketdata_pb2 as md
from meshclient.cli.output import Output, moment


def state_name(state: int) -> str:
    """Return the name of a run's state without its prefix."""
    return pb.BacktestState.Name(state).removeprefix("BACKTEST_STATE_")  # type: ignore[arg-type] # an open enum


def job_state_name(state: int) -> str:
    """Return the name of an import's state without its prefix."""
    return md.ImportState.Name(state).removeprefix("IMPORT_STATE_")  # type: ignore[arg-type] # an open enum


def history_state_name(state: int) -> str:
    """Return the name of a history job's state without its prefix."""
    name = jobs.HistoryJobState.Name(state)  # type: ignore[arg-type] # an open enum
    return name.removeprefix("HISTORY_JOB_STATE_")


class _Rate(ProgressColumn):
    """Events a second, short."""

    def render(self, task: Task) -> Text:
        return Text(short(task.fields.get("rate", 0.0)) + " ev/s", style="cyan")


def short(number: float) -> str:
    """Return a number in at most four digits: 950, 12.3k, 1.2M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}{unit}"
    return f"{number:.0f}"


@contextmanager
def run_bar(out: Output) -> Iterator[Callable[[pb.Backtest], None]]:
    """Give a callback that shows a run as it stands: state, simulated time, events a second."""
    if not out.console.is_terminal:
        yield _lines(out)
        return
    bar = Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[simulated]}", style="dim"),
        _Rate(),
        TimeElapsedColumn(),
        console=out.console,
        expand=True,
    )
    with bar:
        task = bar.add_task("PENDING", total=1.0, simulated="", rate=0.0)
        yield lambda run: _advance(bar, task, run)


def _advance(bar: Progress, task: TaskID, run: pb.Backtest) -> None:
    done = run.state == pb.BACKTEST_STATE_SUCCEEDED
    progress = run.progress
    bar.update(
        task,
        description=state_name(run.state),
        completed=1.0 if done else progress.fraction,
        simulated=moment(progress.simulated_time)[:16],
        rate=progress.events_per_second or bar.tasks[0].fields["rate"],
    )


def _lines(out: Output) -> Callable[[pb.Backtest], None]:
    """Print a line when the state changes, and at each tenth of the way: for logs and pipes."""
    shown: set[tuple[int, int]] = set()

    def show(run: pb.Backtest) -> None:
        step = (run.state, int(run.progress.fraction * 10))
        if step not in shown:
            shown.add(step)
            rate = run.progress.events_per_second
            tail = f" {moment(run.progress.simulated_time)} {short(rate)} ev/s" if rate else ""
            out.note(f"{state_name(run.state)} {run.progress.fraction:.0%}{tail}")

    return show


@contextmanager
def upload_bar(
    out: Output, name: str
) -> Iterator[tuple[Callable[[int, int], None], Callable[[md.ImportJob], None]]]:
    """Give two callbacks for an import: bytes sent, and the job as it stands."""
    if not out.console.is_terminal:
        yield (lambda sent, size: None), (lambda job: None)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=out.console,
        expand=True,
        transient=True,
    )
    with bar:
        task = bar.add_task(f"sending {name}", total=None)

        def sent(done: int, size: int) -> None:
            bar.update(task, completed=done, total=size)

        def job_now(job: md.ImportJob) -> None:
            total = max(job.upload_bytes, 1)
            bar.update(
                task,
                description=f"{job_state_name(job.state).lower()} {name}",
                completed=int(job.progress * total),
                total=total if job.progress else None,  # the bar moves to and fro until then
            )

        yield sent, job_now


@contextmanager
def history_bar(out: Output) -> Iterator[Callable[[jobs.HistoryJob], None]]:
    """Give a callback that shows a history job as it stands: state, place in time, rows."""
    if not out.console.is_terminal:
        yield _history_lines(out)
        return
    bar = Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[place]}", style="dim"),
        TextColumn("{task.fields[rows]} rows", style="cyan"),
        TimeElapsedColumn(),
        console=out.console,
        expand=True,
    )
    with bar:
        task = bar.add_task("PENDING", total=1.0, place="", rows="0")
        yield lambda job: bar.update(
            task,
            description=history_state_name(job.state),
            completed=1.0 if job.state == jobs.HISTORY_JOB_STATE_SUCCEEDED else job.progress,
            place=moment(job.position)[:16],
            rows=f"{job.rows_received:,}",
        )


def _history_lines(out: Output) -> Callable[[jobs.HistoryJob], None]:
    """Print a line when the state changes, and at each tenth of the way."""
    shown: set[tuple[int, int]] = set()

    def show(job: jobs.HistoryJob) -> None:
        step = (job.state, int(job.progress * 10))
        if step not in shown:
            shown.add(step)
            told = f"{history_state_name(job.state)} {job.progress:.0%}"
            out.note(f"{told} {moment(job.position)} {job.rows_received:,} rows")

    return show
