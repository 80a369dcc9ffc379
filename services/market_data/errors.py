"""The market-data service's errors, one class per reason."""

from meshkit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
)
from meshkit.errors import bad_field as bad_field


class InstrumentNotFound(NotFound):
    """No such instrument in the project."""

    reason = "INSTRUMENT_NOT_FOUND"


class InstrumentExists(AlreadyExists):
    """The id is taken by another definition."""

    reason = "INSTRUMENT_EXISTS"


class InstrumentInUse(FailedPrecondition):
    """There is data of the instrument."""

    reason = "INSTRUMENT_IN_USE"


class ImportNotFound(NotFound):
    """No such import job in the caller's projects."""

    reason = "IMPORT_NOT_FOUND"


class ImportFinished(FailedPrecondition):
    """The job is in a final state."""

    reason = "IMPORT_FINISHED"


class ImportUnfinished(FailedPrecondition):
    """The job is still at work."""

    reason = "IMPORT_UNFINISHED"


class UploadIncomplete(InvalidArgument):
    """The upload was cut or damaged."""

    reason = "UPLOAD_INCOMPLETE"


class UploadTooLarge(InvalidArgument):
    """The upload is larger than the server takes."""

    reason = "UPLOAD_TOO_LARGE"


class UploadDisordered(InvalidArgument):
    """The parts of an upload are out of order."""

    reason = "UPLOAD_DISORDERED"


class NoData(NotFound):
    """The catalog holds no such data."""

    reason = "NO_DATA"


class RangeOutsideCoverage(OutOfRange):
    """There is such data, and none in the range."""

    reason = "RANGE_OUTSIDE_COVERAGE"


class ImportFault(Exception):
    """A file that cannot be imported: the job's reason and message, and the bad rows."""

    def __init__(
        self,
        reason: str,
        message: str,
        faults: "list[dict[str, object]] | None" = None,
        count: int = 0,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.faults = faults or []
        self.count = count or len(self.faults)
