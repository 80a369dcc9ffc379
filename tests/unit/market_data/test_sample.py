"""The synthetic sample."""

import hashlib
from pathlib import Path

from services.market_data import sample


def test_the_sample_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    """MD-01: the sample is made from a seed alone, so its hash never changes."""
    digest = hashlib.sha256()
    for file in sample.write(tmp_path):
        assert file.path.name.startswith("synthetic-")
        digest.update(file.path.read_bytes())
    assert digest.hexdigest() == SAMPLE_SHA256


SAMPLE_SHA256 = "686845aeb9b0e72b1714a372b15e672f123de77f1229985b5612d66d7970e2f3"
