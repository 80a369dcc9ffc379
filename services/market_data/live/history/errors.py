"""Errors of history jobs, one class per reason."""

from meshkit.errors import FailedPrecondition, NotFound


class HistoryUnsupported(FailedPrecondition):
    """The venue keeps no such history, or the adapter cannot ask for it."""

    reason = "HISTORY_UNSUPPORTED"


class HistoryJobNotFound(NotFound):
    """No such job in the caller's projects."""

    reason = "HISTORY_JOB_NOT_FOUND"


class HistoryJobFinished(FailedPrecondition):
    """The job is in a final state."""

    reason = "HISTORY_JOB_FINISHED"


class HistoryJobUnfinished(FailedPrecondition):
    """The job is still at work."""

    reason = "HISTORY_JOB_UNFINISHED"


def no_job(history_job_id: str) -> HistoryJobNotFound:
    """Return the error that there is no such job."""
    return HistoryJobNotFound(
        f"There is no history job {history_job_id} in your projects. Look at ListHistoryJobs.",
        metadata={"history_job_id": history_job_id},
    )
