"""The spec of a run from a file, from the example that ships, or from flags."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshclient import samples, spec
from meshclient.cli.base import Shell
from meshclient.errors import UsageError
from meshclient.quick import Quick, quick_spec


@dataclass(frozen=True)
class SpecOptions:
    """The options of `backtest run` that say what to run."""

    file: str
    example: bool
    strategy: str
    bars: Sequence[str]
    quotes: Sequence[str]
    trades: Sequence[str]
    config: Sequence[str]
    balance: Sequence[str]
    leverage: str
    start: str
    end: str
    seed: int


async def spec_from(shell: Shell, options: SpecOptions) -> spec.RunSpec:
    """Return what to run; exactly one of file, ``--example`` and ``--strategy`` says it."""
    if (bool(options.file) or options.example) == bool(options.strategy):
        raise UsageError("Give one of: a spec file, --example, or --strategy with data.")
    if options.example:
        return samples.load(options.file or samples.DEFAULT)
    if options.file:
        return spec.load(options.file)
    quick = Quick(
        strategy=options.strategy,
        bars=options.bars,
        quotes=options.quotes,
        trades=options.trades,
        config=dict(setting(each) for each in options.config),
        balances=options.balance,
        leverage=options.leverage,
        start=_time(options.start, "--start"),
        end=_time(options.end, "--end"),
        seed=options.seed,
    )
    return spec.RunSpec(await quick_spec(shell.mesh, quick), name=options.strategy)


def setting(text: str) -> tuple[str, Any]:
    """Return name and value of a ``--set NAME=VALUE``; the value is JSON where it reads so."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"--set must be NAME=VALUE, not '{text}'.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _time(text: str, option: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} must be a date such as 2024-01-31, not '{text}'.") from None
