"""Adapters of one's own: the template is installed and used; broken ones are told of."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from contract.contracts import ROOT
from meshkit.errors import InvalidArgument
from meshkit.nautilus.venues.errors import SecretInConfig, VenueBroken
from services.market_data.live.venues import Venues

TEMPLATE = ROOT / "tests" / "plugin_template"
BROKEN = {
    "RAISES": "raise ImportError('no module for this')",
    "EXITS": "import sys; sys.exit(3)",
    "DIES": "import os; os._exit(3)",
    "OTHER": "ADAPTER = 'not an adapter'",
    "NAMED": "from meshkit.nautilus.venue_adapter import VenueAdapter as V; ADAPTER = V('ELSE')",
    "HALF": (
        "from nautilus_trader.live.config import LiveDataClientConfig as C\n"
        "from meshkit.nautilus.venue_adapter import VenueAdapter as V\n"
        "ADAPTER = V('HALF', data_config=C)"
    ),
    "BINANCE": "raise AssertionError('never imported')",
    "lower": "raise AssertionError('never imported')",
}
PROBLEMS = {
    "RAISES": "no module for this",
    "EXITS": "SystemExit: 3",
    "DIES": "ended the process",
    "OTHER": "no VenueAdapter",
    "NAMED": "Make them equal",
    "HALF": "give both or none",
    "BINANCE@mesh-binance": "built-in",
    "lower@mesh-lower": "upper case",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder into which the template is built and installed, as pip does it, offline."""
    folder = tmp_path_factory.mktemp("plugin")
    source, target = folder / "source", folder / "site"
    shutil.copytree(TEMPLATE, source, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run(
        [sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=60
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.fixture
def venues(site: Path, monkeypatch: pytest.MonkeyPatch) -> Venues:
    """Give the venues of a service that has the template installed."""
    monkeypatch.syspath_prepend(site)
    return Venues()


def _install(folder: Path, name: str, source: str, distribution: str = "") -> None:
    """Write a distribution of one module with an entry point."""
    distribution = distribution or f"mesh-{name.lower()}"
    module = distribution.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    points = f"[nautilus_mesh.venues]\n{name} = {module}:ADAPTER\n"
    (info / "entry_points.txt").write_text(points)


async def test_the_template_is_listed(venues: Venues) -> None:
    """MD-58: an installed plug-in is told of as a built-in adapter is."""
    told = await venues.get("TEMPLATE")
    assert (told.data, told.execution, told.available) == (True, False, True)
    assert told.plugin == "mesh-venue-template"
    assert [(c.field, c.environment) for c in told.credentials] == [
        ("api_key", ("TEMPLATE_API_KEY",))
    ]
    definitions = json.loads(told.config_schema)["$defs"]
    fields = definitions["TemplateDataClientConfig"]["properties"]
    assert fields["interval_ms"]["description"] == "The time between two quotes of an instrument."
    assert "api_key" not in fields


async def test_the_config_of_the_template_is_checked(venues: Venues) -> None:
    """MD-58: its config is checked as that of a built-in adapter is."""
    assert await venues.check("TEMPLATE", '{"symbols": ["A"]}') == {"symbols": ["A"]}
    with pytest.raises(InvalidArgument) as caught:
        await venues.check("TEMPLATE", '{"symbol": ["A"]}')
    assert caught.value.violations[0].field == "config_json.symbol"
    with pytest.raises(SecretInConfig, match="TEMPLATE_API_KEY"):
        await venues.check("TEMPLATE", '{"api_key": "k"}')


def test_the_tests_of_the_template(site: Path) -> None:
    """MD-58: the template's own tests pass, a TradingNode on its data among them."""
    source = site.parent / "source"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", source, "."],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.long
async def test_broken_plugins_harm_no_other(
    venues: Venues, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MD-59: each broken plug-in is listed with its problem, and the others work."""
    for name, source in BROKEN.items():
        _install(tmp_path, name, source)
    monkeypatch.syspath_prepend(tmp_path)
    told = {each.venue: each for each in await venues.list()}
    for name, problem in PROBLEMS.items():
        assert problem in told[name].problem
        assert "Traceback" not in told[name].problem
        assert not told[name].available
    assert told["BINANCE"].available
    assert told["TEMPLATE"].available
    with pytest.raises(VenueBroken, match="no module for this"):
        await venues.check("RAISES", "{}")
    with pytest.raises(VenueBroken, match="did not survive"):
        await venues.check("DIES", "{}")


async def test_two_plugins_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MD-59: of two plug-ins with one name neither is taken: which is meant is unknown."""
    for distribution in ("mesh-first", "mesh-second"):
        _install(tmp_path, "TWICE", "raise AssertionError('never imported')", distribution)
    monkeypatch.syspath_prepend(tmp_path)
    told = {each.venue: each for each in await Venues().list()}
    assert "TWICE" not in told
    assert "2 plug-ins" in told["TWICE@mesh-first"].problem
    assert "2 plug-ins" in told["TWICE@mesh-second"].problem


@pytest.mark.long
async def test_a_plugin_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MD-59: an import that hangs is ended, and told of."""
    _install(tmp_path, "HANGS", "import threading; threading.Event().wait()")
    monkeypatch.syspath_prepend(tmp_path)
    venues = Venues(seconds=2)
    assert "longer than 2 s" in (await venues.get("HANGS")).problem
    assert (await venues.get("BINANCE")).available
