"""The house is as STYLE asks: small files, a README a service that fits one screen, rules kept."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from contract.contracts import ROOT
from meshkit import VERSION

LONGEST_FILE = 500
LONGEST_README = 60
GENERATED = ("libs/mesh/", "libs/buf/", "protos/vendor/", "deploy/locks/")
LEFT_OUT = (".binpb", ".lock", "package-lock.json", "LICENSE", "LICENSE.GPL")


def _files() -> list[Path]:
    """Return what people edit: what git knows, without what is made or vendored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    names = [n for n in listed if not n.startswith(GENERATED) and not n.endswith(LEFT_OUT)]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_file_is_long() -> None:
    """A file that a person edits is never over 500 lines."""
    lengths = {path.relative_to(ROOT): path.read_bytes().count(b"\n") for path in _files()}
    assert {path: n for path, n in lengths.items() if n > LONGEST_FILE} == {}


@pytest.mark.parametrize(
    "service", ["gateway", "strategy", "market_data", "backtest", "live_execution", "up"]
)
def test_readme_fits_one_screen(service: str) -> None:
    """Each service says what it owns, writes, reads and listens on, in one screen."""
    lines = (ROOT / "services" / service / "README.md").read_text().splitlines()
    assert 5 < len(lines) <= LONGEST_README


def test_import_rules() -> None:
    """Who may import whom is checked, not hoped for."""
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_locks_name_no_address() -> None:
    """The locks work with whichever index a machine is set to."""
    for lock in (ROOT / "deploy/locks").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_the_version_is_one() -> None:
    """The distribution and the code name the same version."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
