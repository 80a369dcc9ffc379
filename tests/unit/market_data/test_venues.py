"""The adapters of the installed Nautilus: all found, told of and offered as forms."""

import json
import mmap
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from meshkit.nautilus.venue_adapter import VenueAdapter
from meshkit.nautilus.venues import builtin, scanning
from meshkit.nautilus.venues.facts import FACTS, NOT_VENUES, Facts
from meshkit.nautilus.venues.forms import is_secret, schema
from meshkit.nautilus.venues.model import VenueInfo

PACKAGE = Path(str(distribution("nautilus_trader").locate_file("nautilus_trader")))
ADAPTERS = PACKAGE / "adapters"
VARIABLE = re.compile(
    rb"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:API_KEY|APP_KEY|API_SECRET|PASSPHRASE|PRIVATE_KEY|PK)\b"
)
NOT_READ = re.compile(
    r".*_ED25519_.*"  # old names of Binance's, which are refused
    r"|TM_API_KEY|POLYGON_PRIVATE_KEY"  # of scripts beside the adapter
    r"|(NO|INVALID|BAD)_.*|.*_INVALID_API_KEY"  # names of errors
)
OF_EXECUTION = {"INTERACTIVE_BROKERS_PYO3", "SANDBOX"}


@pytest.fixture(scope="module")
def told() -> dict[str, VenueInfo]:
    """Give what is told of each built-in adapter, by folder."""
    return {each.module.rpartition(".")[2]: each for each in scanning.scan_builtin()}


@pytest.fixture(scope="module")
def core() -> Iterator[mmap.mmap]:
    """Give the bytes of Nautilus' Rust core, which reads most of the variables."""
    (library,) = (PACKAGE / "core").glob("nautilus_pyo3*.so")
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def test_every_folder_is_an_adapter(told: dict[str, VenueInfo]) -> None:
    """A new adapter of Nautilus breaks this test: look at it and write its facts."""
    folders = {path.parent.name for path in ADAPTERS.glob("*/__init__.py")} - NOT_VENUES
    assert set(told) == folders
    assert set(FACTS) == folders


def test_capabilities(told: dict[str, VenueInfo]) -> None:
    """Data and execution are those of the factories, known without importing them."""
    without_data = {each.venue for each in told.values() if not each.data}
    without_execution = {each.venue for each in told.values() if not each.execution}
    assert without_data == OF_EXECUTION
    assert without_execution == {"DATABENTO", "INTERACTIVE_BROKERS_PYO3", "TARDIS"}


def test_an_adapter_lacks_its_extra_or_has_a_form(told: dict[str, VenueInfo]) -> None:
    """Each adapter with data has a form, or says which packages to install."""
    for each in told.values():
        if each.available and each.data:
            Draft202012Validator.check_schema(json.loads(each.config_schema))
        elif each.missing_packages:
            assert each.extra
            assert each.config_schema == ""
    lacking = [each for each in told.values() if each.missing_packages and each.data]
    assert all(f'pip install "nautilus_trader[{e.extra}]"' in e.problem for e in lacking)


def test_extras_are_those_of_the_package() -> None:
    """Each extra named exists and brings packages."""
    extras = set(distribution("nautilus_trader").metadata.get_all("Provides-Extra") or ())
    assert extras >= builtin.EXTRAS
    assert all(builtin.packages(extra) for extra in builtin.EXTRAS)


def test_names_are_those_of_nautilus(told: dict[str, VenueInfo]) -> None:
    """A venue that has one name has Nautilus' own."""
    pattern = re.compile(r'^[A-Z]+(?:: Final(?:\[str\])?)? = "([A-Z_]+)"$', re.MULTILINE)
    for folder, each in told.items():
        for file in ("constants.py", "common/constants.py"):
            if each.nautilus_venues and (ADAPTERS / folder / file).exists():
                found = pattern.findall((ADAPTERS / folder / file).read_text())
                assert each.nautilus_venues[0] in found


def _available() -> Iterator[tuple[str, VenueAdapter]]:
    for source in builtin.sources():
        if not any(not builtin.installed(p) for p in builtin.packages(source.facts.extra)):
            yield source.folder, builtin.load(source)


def test_no_form_shows_a_secret(told: dict[str, VenueInfo]) -> None:
    """What is a secret, or would run code, is in no form, not even as a default."""
    for folder, adapter in _available():
        shown = set(_names(json.loads(told[folder].config_schema or "{}")))
        assert not [name for name in shown if is_secret(adapter, name)], folder
        assert not shown & {"filter_callable", "pickle_path", "dockerized_gateway"}


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _names(inner)


def test_configs_of_execution_have_forms_too() -> None:
    """Each config of execution has a JSON Schema, also where msgspec alone gives none."""
    for _, adapter in _available():
        if adapter.exec_config is not None:
            Draft202012Validator.check_schema(schema(adapter, adapter.exec_config))


def test_every_secret_has_its_variables() -> None:
    """A config field that looks like a secret is told with the variables that give it."""
    for folder, adapter in _available():
        for config in (adapter.data_config, adapter.exec_config):
            if config is not None:
                names = [field.name for field in msgspec.structs.fields(config)]
                found = [name for name in names if is_secret(adapter, name)]
                assert set(found) <= set(adapter.secrets), folder
                assert all(adapter.secrets[name] for name in found)


def test_variables_are_those_that_nautilus_reads(core: mmap.mmap) -> None:
    """Each variable told of stands in the adapter's source or in the Rust core."""
    for folder, facts in FACTS.items():
        source = b"".join(path.read_bytes() for path in (ADAPTERS / folder).rglob("*.py"))
        for variable in (name for names in facts.secrets.values() for name in names):
            text = variable.encode()
            assert text in source or core.find(text) >= 0, variable


def test_no_variable_is_forgotten() -> None:
    """Each variable of a credential in an adapter's source is told of."""
    known = {name for facts in FACTS.values() for n in facts.secrets.values() for name in n}
    for folder in FACTS:
        for path in (ADAPTERS / folder).rglob("*.py"):
            found = {name.decode() for name in VARIABLE.findall(path.read_bytes())}
            assert {name for name in found - known if not NOT_READ.fullmatch(name)} == set(), path


def test_no_variable_of_the_core_is_forgotten(core: mmap.mmap) -> None:
    """Each variable in the Rust core that begins with an adapter's prefix is told of."""
    known = {name for facts in FACTS.values() for n in facts.secrets.values() for name in n}
    prefixes = {name.split("_")[0] for name in known}
    pattern = re.compile(
        rb"(?:%s)(?:_(?:SPOT|FUTURES|DEMO|TESTNET|MAINNET|LIVE))*"
        rb"_(?:API_KEY|API_SECRET|PRIVATE_KEY|PASSPHRASE|PK)" % "|".join(prefixes).encode()
    )
    found = {name.decode() for name in pattern.findall(core)}
    assert found - known == set()
    assert "OKX_API_KEY" in found


def test_an_unknown_folder_is_listed_all_the_same() -> None:
    """An adapter without facts has its folder's name."""
    facts = Facts("NEWER")
    assert builtin.outline(facts).venues == ("NEWER",)
