"""What a recording missed, as messages."""

from mesh.marketdata.v1 import live_pb2 as pb
from meshkit import enums
from meshkit.times import to_timestamp
from services.market_data.live.recording.store import RecordedGap


def recorded_gap(gap: RecordedGap) -> pb.RecordedGap:
    """Return a gap as a message."""
    made = pb.RecordedGap(
        feed_id=gap.feed_id,
        cause=pb.GapCause.ValueType(enums.number(pb.GapCause, gap.cause)),
        filled=gap.filled,
        history_job_id=gap.history_job_id or "",
        message=gap.message,
    )
    getattr(made, "from").CopyFrom(to_timestamp(gap.from_init))
    if gap.to_init is not None:
        made.to.CopyFrom(to_timestamp(gap.to_init))
    return made
