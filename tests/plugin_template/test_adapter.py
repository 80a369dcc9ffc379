"""The adapter as it is installed: told of, checked and run. Each node has a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from mesh_venue_template import ADAPTER

from meshkit.errors import InvalidArgument
from meshkit.nautilus.venues.checking import check_config

RUN_NODE = Path(__file__).parent / "run_node.py"


def test_its_config_is_checked() -> None:
    """A config is taken as it is, and a bad field is named."""
    assert check_config("TEMPLATE", {"interval_ms": 5}) == {"interval_ms": 5}
    with pytest.raises(InvalidArgument, match="interval_ms"):
        check_config("TEMPLATE", {"interval_ms": 0})


def test_its_secret_stays_out_of_configs() -> None:
    """The key is read from the environment and refused in a config."""
    assert ADAPTER.secrets == {"api_key": ("TEMPLATE_API_KEY",)}
    with pytest.raises(InvalidArgument, match="TEMPLATE_API_KEY"):
        check_config("TEMPLATE", {"api_key": "x"})


def test_a_node_receives_its_quotes() -> None:
    """A TradingNode gets every quote in order from the first."""
    done = subprocess.run(
        [sys.executable, RUN_NODE, "AAA.TEMPLATE", "3", '{"interval_ms": 1}'],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [f"AAA.TEMPLATE {n}.00 {n + 1}.00" for n in (1, 2, 3)]
    assert done.stdout.splitlines()[-3:] == lines
