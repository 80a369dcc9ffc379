"""Strategies of a running trader: stopped, started again, added, removed, and their state."""

import pytest
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId

from integration.live_execution.strategies import changing
from integration.live_execution.strategies.changing import Told
from integration.live_execution.strategies.rows import MINUTES
from integration.nautilus.runs import apart
from mesh.execution.v1.trader_pb2 import (
    STRATEGY_STATE_FAILED,
    STRATEGY_STATE_RUNNING,
    STRATEGY_STATE_STOPPED,
)
from services.live_execution.engine.strategies.naming import named

RUNS, STANDS, FAILED = STRATEGY_STATE_RUNNING, STRATEGY_STATE_STOPPED, STRATEGY_STATE_FAILED


class Config(StrategyConfig, frozen=True):
    """Names instruments in several ways, and things that look like some."""

    bar_types: tuple[BarType, ...]
    instrument_id: InstrumentId = InstrumentId.from_str("ETHUSDT.BINANCE")
    file: str = "main.py"


@pytest.fixture(scope="module")
def scenes() -> dict[str, Told]:
    """Give what all scenes tell; they run in one process."""
    return apart(changing.told)


@pytest.fixture
def changed(scenes: dict[str, Told]) -> Told:
    """Give what is told of a strategy that is stopped, started, and given another version."""
    return scenes["stopped_and_started"]


@pytest.fixture
def removed(scenes: dict[str, Told]) -> Told:
    """Give what is left of strategies that were removed."""
    return scenes["removed"]


@pytest.fixture
def failed(scenes: dict[str, Told]) -> Told:
    """Give what becomes of strategies that have failed."""
    return scenes["failed"]


def test_ex85_a_stopped_one_is_started_anew_with_its_state(changed: Told) -> None:
    """It is made again, gets what it saved, and alone hears what comes from then on."""
    assert changed["at first"] == {"A": RUNS, "B": STANDS}
    assert changed["stopped"][0] == {"A": STANDS, "B": RUNS}
    assert changed["anew"] == (True, 3)
    assert changed["heard by"] == (3, 5, 4), "the former instance hears nothing more"


def test_ex85_state_is_saved_when_it_has_changed(changed: Told) -> None:
    """Two saves in a row and the one of the stop are one fact."""
    assert changed["stopped"][1] == [b"3"]


def test_ex86_another_version_goes_on_with_the_state(changed: Told) -> None:
    """A new version of a stopped strategy is started with what the old one saved."""
    assert changed["new version"] == 5 + 10


def test_ex86_a_running_one_gets_no_other_version(changed: Told) -> None:
    """It is refused; starting what is not there too; stopping and removing it is done already."""
    assert changed["refused"] == ["TRADER_SPEC_INVALID", "TRADER_STRATEGY_NOT_FOUND"]


def test_ex87_client_order_ids_never_come_twice(changed: Told, removed: Told) -> None:
    """They count on over stops, versions, and another strategy with the same tag."""
    assert len(set(changed["ids"])) == len(changed["ids"])
    number, unlike, of_the_tag = removed["ids"]
    assert number == unlike
    assert of_the_tag == sorted(of_the_tag, key=int)


def test_ex88_removal_does_with_orders_and_positions_as_it_is_told(removed: Told) -> None:
    """With the flags all is cancelled and closed, without them all stays."""
    assert removed["left"]["A"] == (["CANCELED", "FILLED", "FILLED"], 0)
    assert removed["left"]["B"] == (["ACCEPTED", "FILLED"], 1)


def test_ex88_removal_leaves_no_trace(removed: Told) -> None:
    """No subscription, claim or state is left, and the tag is free."""
    assert removed["heard"] == []
    assert removed["forgotten"] == {}
    assert removed["states"] == {"C": RUNS}
    assert removed["other"] == 1


def test_ex89_a_claim_has_one_strategy(removed: Told) -> None:
    """A second claim on an instrument fails with the holder's name, and is free after it."""
    reason, message = removed["claimed twice"]
    assert reason == "STRATEGY_LOAD_FAILED"
    assert "Keeper-A" in message
    assert removed["claims"] == {"BTCUSDT.BINANCE": "Keeper-C"}


def test_ex90_orders_of_a_failed_one_are_treated_by_its_policy(failed: Told) -> None:
    """Cancelled, cancelled and closed, or left; those of the moment of the failure as well."""
    assert failed["orders"] == {
        "C": (["CANCELED", "FILLED"], 1),
        "F": (["CANCELED", "FILLED", "FILLED"], 0),
        "L": (["ACCEPTED", "FILLED"], 1),
    }
    assert failed["ok"] == 2, "the others go on"


def test_ex91_a_state_that_cannot_be_kept_or_read_is_told(failed: Told) -> None:
    """What on_save gives must be bytes, and an on_load that raises says so."""
    kept, read = failed["states"]["O"], failed["states"]["U"]
    assert kept == ("on_save", "StateInvalid: on_save must return a dict of str and bytes")
    assert read == ("on_load", "KeyError: 'total'")


def test_ex92_a_failed_one_is_started_by_command_or_by_a_new_version(failed: Told) -> None:
    """As it is it may fail again, a new version goes on, and a restart alone starts neither."""
    assert failed["again"] == (FAILED, 1)
    assert failed["mended"] == (RUNS, 14)
    assert failed["restarted"] == {"L": FAILED, "F": RUNS}
    assert failed["by command"] == {"L": RUNS, "F": RUNS}


def test_ex95_a_config_names_the_instruments_that_it_needs() -> None:
    """Instruments, those of bar types, and those in lists are found in a config."""
    assert {str(each) for each in named(Config(bar_types=(MINUTES,)))} == {
        "BTCUSDT.BINANCE",
        "ETHUSDT.BINANCE",
    }


def test_ex254_one_that_stops_itself_in_on_start_says_so(changed: Told) -> None:
    """EX-254: it is STOPPED, with the instruments that its config names and nobody has."""
    status = changed["by itself"]
    assert (status.state, status.reason) == (STANDS, "INSTRUMENT_NOT_FOUND")
    assert "in on_start" in status.message
    assert "NONE.BINANCE" in status.message
