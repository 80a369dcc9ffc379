"""Reading configuration."""

from pathlib import Path

import pytest

from meshkit.config import ConfigError, Env


def test_all_faults_are_told_at_once() -> None:
    """A start is refused with every fault, not the first."""
    env = Env({"SLOTS": "two", "GRACE": "-1", "LOUD": "perhaps", "SIZE": "nan"})
    env.text("URL")
    env.integer("SLOTS", 2)
    env.number("GRACE", 1.0)
    env.number("SIZE", 1.0)
    env.flag("LOUD", False)
    env.fault("the folder is not writable")
    with pytest.raises(ConfigError) as caught:
        env.check()
    assert caught.value.faults == [
        "URL is not set",
        "SLOTS must be a whole number",
        "GRACE must be at least 0.0",
        "SIZE must be at least 0.0",
        "LOUD must be true or false",
        "the folder is not writable",
    ]


def test_values_and_defaults() -> None:
    """Values are read in their type, and an empty one counts as absent."""
    env = Env({"SLOTS": "3", "NAMES": "a, b,,", "LOUD": "yes", "URL": "", "HOME_DIR": "/tmp/../x"})
    assert env.integer("SLOTS", 1) == 3
    assert env.items("NAMES") == ("a", "b")
    assert env.flag("LOUD", False)
    assert env.text("URL", "none") == "none"
    assert env.path("HOME_DIR") == Path("/x")
    env.check()
