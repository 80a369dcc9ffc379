"""buf accepts the contracts, and refuses a broken copy of them."""

import shutil
from pathlib import Path

import pytest

from contract.contracts import ROOT, breaking, buf


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Give a copy of the contracts that a test may break."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    return tmp_path


def test_lint() -> None:
    """The contracts follow STANDARD; the one waiver is for vendored files."""
    done = buf("lint")
    assert done.returncode == 0, done.stdout


def test_nothing_breaks_the_baseline() -> None:
    """Who was built against the last release still works."""
    done = breaking(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("strategy/v1/strategy.proto", "string strategy_id = ", "bytes strategy_id = ", "type"),
        ("common/v1/error_reason.proto", "STRATEGY_NOT_FOUND", "STRATEGY_GONE", "name"),
        ("strategy/v1/strategy_service.proto", "rpc GetStrategy(", "rpc FetchStrategy(", "deleted"),
    ],
)
def test_a_broken_copy_is_refused(copy: Path, file: str, old: str, new: str, says: str) -> None:
    """A changed type, a renamed value and a removed method are each found."""
    path = copy / "protos/mesh" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    done = breaking(copy)
    assert done.returncode == 100, done.stderr
    assert says in done.stdout


def test_an_unstyled_copy_is_refused(copy: Path) -> None:
    """The linter is really on: a value without its type's prefix is found."""
    path = copy / "protos/mesh/common/v1/types.proto"
    path.write_text(path.read_text() + "\nenum Extra {\n  NONE = 0;\n}\n")
    done = buf("lint", folder=copy)
    assert done.returncode == 100, done.stderr
    assert "ENUM_VALUE_PREFIX" in done.stdout or "prefixed" in done.stdout
