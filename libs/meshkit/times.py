"""Unix nanoseconds ↔ ``google.protobuf.Timestamp``."""

import time

from google.protobuf.timestamp_pb2 import Timestamp

NANOS = 1_000_000_000


def to_timestamp(nanos: int) -> Timestamp:
    """Return the timestamp of unix nanoseconds."""
    return Timestamp(seconds=nanos // NANOS, nanos=nanos % NANOS)


def to_nanos(timestamp: Timestamp) -> int:
    """Return the unix nanoseconds of a timestamp."""
    return timestamp.seconds * NANOS + timestamp.nanos


def now() -> Timestamp:
    """Return the present time."""
    return to_timestamp(time.time_ns())
