"""Spec files: the short forms, and the place of every fault."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesh.common.v1 import enums_pb2
from mesh.marketdata.v1.marketdata_pb2 import DATA_KIND_BAR, DATA_KIND_QUOTE_TICK
from meshclient import samples, spec
from meshclient.errors import MeshClientError, SpecError

BARS = "USD/JPY.SIM-1-MINUTE-BID-EXTERNAL"


def _document() -> dict[str, Any]:
    return {
        "name": "first",
        "labels": {"team": "fx"},
        "venues": [
            {
                "name": "SIM",
                "oms_type": "netting",
                "account_type": "MARGIN",
                "starting_balances": ["1_000_000 USD"],
                "default_leverage": 20,
                "leverages": {"USD/JPY.SIM": 33.5},
                "fill_model": {"prob_fill_on_limit": 1, "prob_slippage": 0.5, "random_seed": 7},
                "latency_model": {"base": "5ms", "insert": 1.5},
                "fee_model": {"maker_taker": {}},
                "options": {"bar_execution": False},
            }
        ],
        "data": [BARS, {"kind": "QUOTE_TICK", "instrument_id": "USD/JPY.SIM"}],
        "components": [
            {"strategy_id": "ema-cross", "config": {"fast": 10, "day": None, "x": [1, "2"]}}
        ],
        "range": {"start": "2013-01-01", "end": "2013-02-01T12:00:00+01:00"},
        "seed": 3,
    }


def test_mc_04_short_forms_are_understood() -> None:
    """MC-04: money, enums, decimals, dates, durations and bar types in their short forms."""
    found = spec.parse(_document())
    venue = found.spec.venues[0]
    assert (found.name, found.labels) == ("first", {"team": "fx"})
    assert venue.oms_type == enums_pb2.OMS_TYPE_NETTING
    assert venue.starting_balances[0].amount == "1000000"
    assert venue.default_leverage == "20"
    assert venue.leverages["USD/JPY.SIM"] == "33.5"
    assert venue.latency_model.base.ToMilliseconds() == 5
    assert venue.latency_model.insert.ToMilliseconds() == 1500
    assert venue.fee_model.WhichOneof("model") == "maker_taker"
    assert venue.options.HasField("bar_execution")
    assert not venue.options.bar_execution
    assert found.spec.data[0].kind == DATA_KIND_BAR
    assert found.spec.data[0].bar_type == BARS
    assert found.spec.data[1].kind == DATA_KIND_QUOTE_TICK
    assert found.spec.range.start.ToJsonString() == "2013-01-01T00:00:00Z"
    assert found.spec.range.end.ToJsonString() == "2013-02-01T11:00:00Z"
    assert found.spec.components[0].config["fast"] == 10


TOML = f"""
name = "t"
data = ["{BARS}"]
[[venues]]
name = "SIM"
oms_type = "NETTING"
account_type = "MARGIN"
starting_balances = ["1000000 USD"]
[[components]]
strategy_id = "ema-cross"
[range]
start = 2013-01-01
"""
YAML = f"""
name: t
data: ["{BARS}"]
venues:
  - name: SIM
    oms_type: NETTING
    account_type: MARGIN
    starting_balances: ["1000000 USD"]
components:
  - strategy_id: ema-cross
range: {{start: 2013-01-01}}
"""


def test_mc_04_the_three_formats_say_the_same(tmp_path: Path) -> None:
    """MC-04: YAML and TOML give the same spec, dates of the format included."""
    (tmp_path / "a.toml").write_text(TOML)
    (tmp_path / "a.yaml").write_text(YAML)
    assert spec.load(tmp_path / "a.toml") == spec.load(tmp_path / "a.yaml")
    (tmp_path / "a.json").write_text(json.dumps(_document()))
    assert spec.load(tmp_path / "a.json").name == "first"


@pytest.mark.parametrize("name", samples.names())
def test_mc_04_what_ships_is_a_spec(name: str) -> None:
    """MC-04: every spec that ships parses."""
    assert samples.load(name).name


def test_mc_04_an_example_that_is_not_there() -> None:
    """MC-04: an unknown example names those that ship."""
    with pytest.raises(SpecError, match="ema-cross"):
        samples.load("nope")


def _fault(path: list[Any], value: object) -> dict[str, Any]:
    document: Any = _document()
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(document)


@pytest.mark.parametrize(
    ("path", "value", "field", "says"),
    [
        (["venues", 0, "oms_typ"], "NETTING", "venues[0].oms_typ", "did you mean oms_type"),
        (["venues", 0, "oms_type"], "NET", "venues[0].oms_type", "must be one of"),
        (["venues", 0, "starting_balances"], "1 USD", "venues[0].starting_balances", "a list"),
        (
            ["venues", 0, "starting_balances", 0],
            "a lot",
            "venues[0].starting_balances[0]",
            "an amount and a currency",
        ),
        (
            ["venues", 0, "options", "bar_execution"],
            "yes",
            "venues[0].options.bar_execution",
            "true or false",
        ),
        (["venues", 0, "leverages"], [1], "venues[0].leverages", "must be a table"),
        (["venues", 0, "fee_model", "fixed"], {}, "venues[0].fee_model.fixed", "cannot stand"),
        (["venues", 0, "latency_model", "base"], "fast", "venues[0].latency_model.base", "5ms"),
        (["range", "start"], "01/02/2013", "range.start", "a date or time"),
        (["seed"], 1.5, "seed", "a whole number"),
        (["chunk_size"], 2**40, "chunk_size", "must be from"),
        (["components", 0], "ema-cross", "components[0]", "must be a table"),
        (["components", 0, "config"], [1], "components[0].config", "must be a table"),
        (["data"], [], "data", "is missing"),
        (["name"], 3, "name", "must be text"),
    ],
)
def test_mc_05_a_fault_names_its_place(
    path: list[Any], value: object, field: str, says: str
) -> None:
    """MC-05: each fault is told with the path to it and what would be right."""
    with pytest.raises(SpecError) as caught:
        spec.parse(_fault(path, value))
    told = {each.field: each.description for each in caught.value.violations}
    assert says in told[field]


def test_mc_05_all_faults_are_told_at_once() -> None:
    """MC-05: one reading tells everything that is wrong."""
    with pytest.raises(SpecError, match="and 4 more") as caught:
        spec.parse({"venue": 1, "seed": "x"})
    assert len(caught.value.violations) == 5


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '{"a": }', "line 1, column 7"),
        ("a.toml", "a = 1 2", "line 1"),
        ("a.yaml", "a: [1", "line 1"),
        ("a.txt", "", "must end in"),
        ("a.json", "[]", "must hold a table"),
    ],
)
def test_mc_05_a_file_that_is_no_spec(tmp_path: Path, name: str, text: str, says: str) -> None:
    """MC-05: a syntax error tells its line, a wrong suffix the right ones."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match=says):
        spec.load(tmp_path / name)


def test_mc_05_a_missing_file(tmp_path: Path) -> None:
    """MC-05: a file that is not there is said to be so."""
    with pytest.raises(MeshClientError, match="No such file") as caught:
        spec.load(tmp_path / "gone.json")
    assert caught.value.reason == "FILE_UNREADABLE"
