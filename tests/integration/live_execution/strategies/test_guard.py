"""A strategy that raises is stopped alone, wherever it raises."""

import pytest

from integration.live_execution.strategies import guarded
from integration.live_execution.strategies.guarded import WAYS, Told
from integration.nautilus.runs import apart
from mesh.execution.v1.trader_pb2 import STRATEGY_STATE_FAILED, STRATEGY_STATE_RUNNING


@pytest.fixture(scope="module")
def scenes() -> dict[str, Told]:
    """Give what all scenes tell; they run in one process."""
    return apart(guarded.told)


@pytest.fixture
def told(scenes: dict[str, Told]) -> Told:
    """Give what became of a strategy for every way into its code, and of others beside them."""
    return scenes["by_every_way"]


@pytest.fixture
def components(scenes: dict[str, Told]) -> Told:
    """Give what became of an actor, of execution algorithms and of code that does not load."""
    return scenes["of_every_kind_of_component"]


@pytest.mark.parametrize("way", WAYS)
def test_ex80_it_is_caught_at_every_way_into_its_code(told: Told, way: str) -> None:
    """It fails at each handler, callback and answer, and runs no more but its on_stop."""
    assert told["states"][way] == STRATEGY_STATE_FAILED
    assert told["handlers"][way] == {"indicator": "handle_bar", "lambda": "<lambda>"}.get(way, way)
    raised = ["on_start"] if way == "indicator" else [way]
    assert told["calls"][way][-2:] == [*raised, "on_stop"]


def test_ex80_the_others_and_the_node_go_on(told: Told) -> None:
    """A sound strategy beside thirty that fail hears everything, each thing once."""
    state, calls = told["sound"]
    assert told["running"]
    assert state == STRATEGY_STATE_RUNNING
    assert set(WAYS) - {"indicator"} <= set(calls)
    assert calls.count("on_bar") == calls.count("on_historical_data") == 1
    assert told["left"] == ["Faulty-OK.mine"], "endpoints of the failed are gone"


def test_ex80_the_traceback_has_lines_of_the_users_code_alone(told: Told) -> None:
    """A failure shows file, line, function and text of user code, and no engine's."""
    assert [line.split(": ")[1] for line in told["traceback"]] == [
        "self.at(name)",
        'raise KINDS[self.config.raises]("at " + place)',
    ]
    assert all(line.startswith("main.py, line ") for line in told["traceback"])


def test_ex81_an_on_stop_that_raises_too_changes_nothing(told: Told) -> None:
    """The first failure is the one that is told, and no handler of faults is run."""
    assert told["twice"] == ("ValueError: at on_bar", ["on_bar", "on_stop"])


def test_ex81_what_is_no_exception_of_pythons_own_is_caught_too(told: Told) -> None:
    """SystemExit and MemoryError stop the strategy, and not the process."""
    assert told["exits"] == ["SystemExit: at on_bar", "MemoryError: at on_bar"]


def test_ex82_actors_and_algorithms_are_caught_as_well(components: Told) -> None:
    """An actor, and an algorithm at an order or at an event of one, fail alone."""
    failed = {tag: (f[0], f[1]) for tag, f in components["failures"].items()}
    assert failed["ACT"] == ("on_trade_tick", "ValueError: an actor's")
    assert failed["EARLY"] == ("on_order", "ValueError: an algorithm's")
    assert failed["LATE"] == ("on_order_submitted", "ValueError: an algorithm's, later")
    assert components["states"]["OK"] == STRATEGY_STATE_RUNNING
    assert components["ids"]["ACT"] == "FaultyActor-ACT"
    held, late = components["orders"]["EARLY"]
    assert held == "CANCELED", "what it held is cancelled"
    assert late == "DENIED", "and what comes for it is denied"


def test_ex83_code_that_does_not_load_fails_alone(components: Told) -> None:
    """A missing module and a config that does not fit are told; the others start."""
    assert components["reasons"]["BAD"] == components["reasons"]["MIS"] == "STRATEGY_LOAD_FAILED"
    handler, message, file, line = components["failures"]["BAD"]
    assert (handler, file, line) == ("load", "main.py", 1)
    assert "nothing_of_this_name" in message
    assert "instrument_id" in components["failures"]["MIS"][1]


def test_ex84_timers_of_the_wall_run_on_the_engines_thread(scenes: dict[str, Told]) -> None:
    """In a stock node timers, threads and answers that raise stop their strategy alone."""
    told = scenes["on_the_walls_time"]
    assert told["running"]
    assert told["threads"] == {True}, "Nautilus calls timers on threads of its own"
    expected = {"TIM": "on_my_alert", "QUO": "on_quote_tick", "THR": "at", "INS": "on_answer"}
    assert told["handlers"] == expected
