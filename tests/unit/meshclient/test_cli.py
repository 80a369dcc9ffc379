"""``meshctl`` without a mesh: what is printed where, and exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mesh.backtest.v1 import backtest_pb2 as pb
from meshclient.cli import base, hints, main
from meshclient.errors import JobFailed, MeshClientError, SpecError
from meshclient.figure import write_png
from meshclient.terminal_plot import plot

ENTRY = "from meshclient.cli.main import run; run()"


def _meshctl(*arguments: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTRY, *arguments],
        env={"PYTHONPATH": ":".join(sys.path), "MESH_CONFIG": str(home / "profiles.toml"), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_mc_10_an_error_is_a_sentence_and_a_remedy(tmp_path: Path) -> None:
    """MC-10: no profile: reason and remedy on stderr, nothing on stdout, exit code 3."""
    done = _meshctl("whoami", home=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "PROFILE_MISSING" in done.stderr
    assert "meshctl login" in done.stderr
    assert "Traceback" not in done.stderr


def test_mc_10_json_errors_are_json(tmp_path: Path) -> None:
    """MC-10: with --json the error is one JSON object on stderr, and stdout stays empty."""
    done = _meshctl("backtest", "ls", "--json", home=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert json.loads(done.stderr)["error"]["reason"] == "PROFILE_MISSING"


@pytest.mark.parametrize(
    "arguments",
    [
        ["backtest", "run", "gone.json"],
        ["backtest", "run"],
        ["backtest", "run", "--nonsense"],
        ["backtest", "ls", "--state", "lost"],
        ["data", "read", "USD/JPY.SIM"],
        ["data", "read", "USD/JPY.SIM", "--kind", "ticks"],
        ["strategy", "add", "gone.py"],
        ["strategy", "ls", "--kind", "robot"],
        ["data", "rm", "USD/JPY.SIM", "--kind", "quotes"],
        ["backtest", "export", "last", "--format", "xml"],
    ],
)
def test_mc_10_bad_input_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    """MC-10: what the command line itself shows to be wrong needs no mesh and exits with 2."""
    env = {"MESH_CONFIG": str(tmp_path / "p"), "MESH_API_KEY": "k", "MESH_ADDRESS": "127.0.0.1:1"}
    done = CliRunner().invoke(main.app, arguments, env=env)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.output


def test_mc_10_an_address_with_nothing_behind(tmp_path: Path) -> None:
    """MC-10: a mesh that does not run is named with its address, exit code 1."""
    done = _meshctl("whoami", home=tmp_path, MESH_API_KEY="k", MESH_ADDRESS="127.0.0.1:1")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "make run" in done.stderr


def test_mc_10_exit_codes() -> None:
    """MC-10: 2 bad input, 3 access, 4 not found, 5 failed work, 1 anything else."""
    assert base.exit_code(SpecError("x")) == 2
    assert base.exit_code(MeshClientError("x", code="PERMISSION_DENIED")) == 3
    assert base.exit_code(MeshClientError("x", code="NOT_FOUND")) == 4
    assert base.exit_code(JobFailed("x", reason="Y", resource=pb.Backtest())) == 5
    assert base.exit_code(MeshClientError("x", code="UNAVAILABLE")) == 1


def test_mc_10_remedies_name_commands() -> None:
    """MC-10: where the contract names an RPC, meshctl names its command."""
    assert "meshctl strategy ls" in hints.hint(MeshClientError("x", reason="STRATEGY_NOT_FOUND"))
    assert hints.hint(MeshClientError("x", reason="ETAG_MISMATCH")) == "Read it again and repeat."


def test_mc_11_a_curve_fits_its_width() -> None:
    """MC-11: no line of a plot is wider than asked, and its labels are the extremes."""
    lines = plot([float(n) for n in range(500)], [float(n % 90) for n in range(500)], width=60)
    assert max(len(line) for line in lines.splitlines()) <= 60
    assert lines.splitlines()[0].startswith("89.00")


@pytest.mark.parametrize("points", [0, 1, 2])
def test_mc_11_few_and_equal_points(points: int) -> None:
    """MC-11: no point, one point and a flat line are plots too."""
    assert plot([float(n) for n in range(points)], [5.0] * points)


def test_mc_11_a_png_is_drawn(tmp_path: Path) -> None:
    """MC-11: equity and drawdown are drawn into a PNG; nothing to draw is said."""
    curve = pb.EquityCurve(currency="USD")
    for n in range(10):
        curve.points.add(equity=100 + n).time.FromSeconds(n)
    file = write_png([curve], tmp_path / "deep" / "a.png", "x")
    assert file.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(MeshClientError, match="no equity curve"):
        write_png([], tmp_path / "b.png", "x")


def test_mc_12_the_client_is_light() -> None:
    """MC-12: the client imports no Nautilus, no store's driver and no service."""
    code = (
        "import meshclient.cli.main, sys; heavy = {'nautilus_trader', 'asyncpg', 'redis', "
        "'services', 'pandas', 'matplotlib', 'protovalidate', 'prometheus_client'}; "
        "sys.exit(','.join(sorted(heavy & {m.partition('.')[0] for m in sys.modules})) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
