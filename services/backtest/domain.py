"""Runs: what they are, which states follow which, and what may be done with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meshkit.errors import FieldViolation
from services.backtest.errors import (
    BacktestEnded,
    BacktestNotEnded,
    BacktestSpecInvalid,
    ResultNotReady,
)

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLED = (
    "PENDING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
)
ENDED = frozenset({SUCCEEDED, FAILED, CANCELLED})

JOBS = "jobs:backtest"
FACTS = "facts:backtest"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run. ``spec`` is the contract's JSON form; ``inputs`` is what a worker needs beside it."""

    backtest_id: str
    project: str
    owner: str
    name: str
    labels: Mapping[str, str]
    spec: Json
    manifest: Json
    strategy_ids: tuple[str, ...]
    state: str = PENDING
    progress: Json = field(default_factory=dict)
    failure: Json | None = None
    result: Json | None = None
    attempts: int = 0
    cancel_requested: bool = False
    fence: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the run has reached its last state."""
        return self.state in ENDED

    def check_cancellable(self) -> None:
        """Raise ``BacktestEnded`` unless the run may still be stopped."""
        if self.ended:
            raise BacktestEnded(
                f"The run has ended ({self.state}), so there is nothing to cancel.",
                metadata={"backtest_id": self.backtest_id, "state": self.state},
            )

    def check_deletable(self) -> None:
        """Raise ``BacktestNotEnded`` unless the run has ended."""
        if not self.ended:
            raise BacktestNotEnded(
                f"The run is {self.state}. Cancel it first, or wait for its end.",
                metadata={"backtest_id": self.backtest_id, "state": self.state},
            )

    def check_result(self) -> None:
        """Raise ``ResultNotReady`` unless there is a result."""
        if self.state != SUCCEEDED:
            raise ResultNotReady(
                f"The run is {self.state} and has no result.",
                metadata={"backtest_id": self.backtest_id, "state": self.state},
            )


def check_spec(spec: Json) -> None:
    """Raise ``BacktestSpecInvalid`` for parts that do not fit together, all of them at once."""
    found = [*_venue_faults(spec["venues"]), *_data_faults(spec)]
    if found:
        raise BacktestSpecInvalid(f"{found[0].field}: {found[0].description}", violations=found)


def _venue_faults(venues: list[Json]) -> list[FieldViolation]:
    found = []
    names: set[str] = set()
    for index, venue in enumerate(venues):
        if venue["name"] in names:
            found.append(FieldViolation(f"venues[{index}].name", "is there twice"))
        names.add(venue["name"])
        currencies = [money["currency"] for money in venue["starting_balances"]]
        if len(set(currencies)) != len(currencies):
            text = "names a currency twice"
            found.append(FieldViolation(f"venues[{index}].starting_balances", text))
        if (base := venue.get("base_currency")) and currencies != [base]:
            text = f"must be {base} only, since the account has that base currency"
            found.append(FieldViolation(f"venues[{index}].starting_balances", text))
    return found


def _data_faults(spec: Json) -> list[FieldViolation]:
    names = {venue["name"] for venue in spec["venues"]}
    found = []
    for index, data in enumerate(spec["data"]):
        venue = instrument_of(data).rpartition(".")[2]
        if venue not in names:
            text = f"is of venue '{venue}', which the run does not have"
            found.append(FieldViolation(f"data[{index}].instrument_id", text))
    return found


def instrument_of(data: Json) -> str:
    """Return the instrument id of a data selection, from its bar type where it has one.

    A bar type ends in five parts that hold no instrument: step, aggregation, price, source.
    """
    if data.get("instrument_id"):
        return str(data["instrument_id"])
    return str(data.get("bar_type", "")).rsplit("-", 4)[0]
