"""Unix nanoseconds ↔ ``google.protobuf.Timestamp``."""

import time
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

NANOS = 1_000_000_000


def to_timestamp(nanos: int) -> Timestamp:
    """Return the timestamp of unix nanoseconds."""
    return Timestamp(seconds=nanos // NANOS, nanos=nanos % NANOS)


def to_nanos(timestamp: Timestamp) -> int:
    """Return the unix nanoseconds of a timestamp."""
    return timestamp.seconds * NANOS + timestamp.nanos


def from_datetime(value: datetime | None) -> Timestamp | None:
    """Return the timestamp of a database's time, None for None."""
    if value is None:
        return None
    made = Timestamp()
    made.FromDatetime(value)
    return made


def now() -> Timestamp:
    """Return the present time."""
    return to_timestamp(time.time_ns())
