"""The loader that validation and backtests share, on code of the tests' own."""

import secrets
import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest

from meshkit.nautilus.config_schema import config_schema
from meshkit.nautilus.loader import Loaded, LoadError, check_syntax, load, user_frame

IMPORTS = """
from nautilus_trader.common.actor import Actor
from nautilus_trader.config import ActorConfig, StrategyConfig
from nautilus_trader.execution.algorithm import ExecAlgorithm
from nautilus_trader.trading.strategy import Strategy
"""
ANNOTATED = """
class Fast(StrategyConfig, frozen=True):
    a: int
class Slow(StrategyConfig, frozen=True):
    b: int = 1
class A(Strategy):
    def __init__(self, config: Slow) -> None:
        super().__init__(config)
"""


def loaded(kind: str, *files: tuple[str, str], class_name: str = "") -> Loaded:
    """Load files as a new version."""
    return load(kind, secrets.token_hex(32), files, class_name=class_name)


def refused(kind: str, files: Sequence[tuple[str, str]], class_name: str = "") -> LoadError:
    """Load files that cannot be loaded."""
    with pytest.raises(LoadError) as caught:
        loaded(kind, *files, class_name=class_name)
    return caught.value


def test_the_annotated_config_is_taken() -> None:
    """Of several config classes the one that ``__init__`` names is taken."""
    found = loaded("STRATEGY", ("it.py", IMPORTS + ANNOTATED))
    assert (found.component.__name__, found.config.__name__) == ("A", "Slow")


def test_a_config_that_could_be_several_is_refused() -> None:
    """Nothing is guessed between config classes."""
    text = IMPORTS + ANNOTATED.replace(": Slow)", ")")
    assert refused("STRATEGY", [("it.py", text)]).stage == "config"


@pytest.mark.parametrize(
    ("kind", "name"), [("STRATEGY", "S"), ("ACTOR", "B"), ("EXEC_ALGORITHM", "E")]
)
def test_kinds_are_told_apart(kind: str, name: str) -> None:
    """Strategies and algorithms are actors too, but not what is meant by one."""
    classes = "class S(Strategy): pass\nclass B(Actor): pass\nclass E(ExecAlgorithm): pass\n"
    assert loaded(kind, ("it.py", IMPORTS + classes)).component.__name__ == name


def test_one_of_several_is_named() -> None:
    """Of several classes the named one is taken, and a name that is none is refused."""
    files = [("it.py", IMPORTS + "class A(Strategy): pass\nclass B(A): pass\n")]
    assert loaded("STRATEGY", *files, class_name="B").component.__name__ == "B"
    assert "A, B" in refused("STRATEGY", files).message
    assert refused("STRATEGY", files, "C").stage == "class"


def test_packages_import_within() -> None:
    """A package has folders, imports within itself, and two versions do not meet."""
    files = [
        ("main.py", "from .parts import size\nfrom .parts.rule import A\n"),
        ("parts/__init__.py", "size = 1\n"),
        ("parts/rule.py", IMPORTS + "from ..far import near\nclass A(Strategy): near = near\n"),
        ("far.py", "near = 1\n"),
    ]
    first = loaded("STRATEGY", *files).component
    second = loaded("STRATEGY", *files[:3], ("far.py", "near = 2\n")).component
    assert (vars(first)["near"], vars(second)["near"]) == (1, 2)


def test_a_package_needs_an_entry() -> None:
    """Which file of several is the first one is not guessed."""
    assert refused("STRATEGY", [("a.py", ""), ("b.py", "")]).stage == "source"


def test_errors_name_the_line_and_show_it() -> None:
    """An error deep in a package tells the file and line in it, and tracebacks show the text."""
    files = [("main.py", "from .deep import A\n"), ("deep.py", "x = 1\ny = x / 0\n")]
    error = refused("STRATEGY", files)
    assert (error.stage, error.file, error.line) == ("import", "deep.py", 2)
    body = "class A(Strategy):\n    def on_bar(self, bar):\n        return bar / 0\n"
    handler = vars(loaded("STRATEGY", ("it.py", IMPORTS + body)).component)["on_bar"]
    with pytest.raises(ZeroDivisionError) as caught:
        handler(None, 1)
    assert user_frame(caught.value) == ("it.py", IMPORTS.count("\n") + 3)
    assert "return bar / 0" in "".join(traceback.format_exception(caught.value))


def test_syntax_is_checked_everywhere() -> None:
    """A file that nothing imports yet is compiled too."""
    with pytest.raises(LoadError) as caught:
        check_syntax("0" * 64, [("main.py", "a = 1"), ("later.py", "a = 1\nb = (\n")])
    assert (caught.value.stage, caught.value.file, caught.value.line) == ("syntax", "later.py", 2)


def test_installed_code_is_user_code_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in code of an importable path names its module's file."""
    name = f"installed_{secrets.token_hex(4)}"
    body = "class A(Actor):\n    def on_start(self):\n        raise KeyError\n"
    (tmp_path / f"{name}.py").write_text(IMPORTS + body)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load("ACTOR", "0" * 64, importable_path=f"{name}:A")
    with pytest.raises(KeyError) as caught:
        vars(found.component)["on_start"](None)
    assert user_frame(caught.value) == (f"{name}.py", IMPORTS.count("\n") + 3)


def test_schemas_keep_what_strings_mean() -> None:
    """Instrument ids, bar types and decimals keep their formats; infinity is no default."""
    body = """
from decimal import Decimal
from nautilus_trader.model.data import BarType
from nautilus_trader.model.identifiers import InstrumentId
class AConfig(StrategyConfig, frozen=True):
    instrument_id: InstrumentId
    bar_type: BarType
    size: Decimal = Decimal("1.5")
    limit: float = float("inf")
class A(Strategy): pass
"""
    schema = config_schema(loaded("STRATEGY", ("it.py", IMPORTS + body)).config)
    fields = schema["$defs"]["AConfig"]["properties"]
    formats = {name: fields[name].get("format") for name in ("instrument_id", "bar_type", "size")}
    assert formats == {"instrument_id": "instrument_id", "bar_type": "bar_type", "size": "decimal"}
    assert fields["size"]["default"] == "1.5"
    assert "default" not in fields["limit"]
