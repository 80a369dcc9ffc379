"""The remedies are those of the contract."""

from pathlib import Path

from meshclient import make_remedies
from meshclient.remedies import REMEDIES

PROTO = Path(__file__).parents[3] / "protos/mesh/common/v1/error_reason.proto"
COMMENT = """
enum ErrorReason {
  // Never sent.
  ERROR_REASON_UNSPECIFIED = 0;
  // NOT_FOUND. Metadata: `a`, and `b` from X. No such thing. Look at
  // ListThings. Or make one.
  ERROR_REASON_THING_NOT_FOUND = 1;
  // ABORTED. Nothing can be done.
  ERROR_REASON_HOPELESS = 2;
}
"""


def test_mc_02_the_table_is_current() -> None:
    """MC-02: the table equals the contract; else run `python -m meshclient.make_remedies`."""
    assert make_remedies.remedies(PROTO.read_text("utf-8")) == REMEDIES


def test_mc_02_a_remedy_is_what_follows_the_fact() -> None:
    """MC-02: code, metadata and the sentence that tells what happened are left out."""
    assert make_remedies.remedies(COMMENT) == {
        "THING_NOT_FOUND": "Look at ListThings. Or make one."
    }


def test_mc_02_the_made_module_reads_back() -> None:
    """MC-02: what is rendered is Python that holds the same table."""
    found = {"A": 'say "x" ' * 30, "B": "short"}
    space: dict[str, object] = {}
    exec(make_remedies.render(found), space)
    assert space["REMEDIES"] == {"A": ('say "x" ' * 30).strip(), "B": "short"}
