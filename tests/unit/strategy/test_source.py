"""What a source is, and which sources are refused before anything is loaded."""

import pytest

from services.strategy.domain import Classes, Source
from services.strategy.errors import ImportNotAllowed, SourceInvalid

FILES = (("main.py", "a"), ("b.py", "b"))


def test_the_version_is_the_content() -> None:
    """The order of files does not matter; kind, paths, texts and the chosen class do."""
    version = Source(files=FILES).version("STRATEGY")
    assert len(version) == 64
    assert Source(files=FILES[::-1]).version("STRATEGY") == version
    others = {
        Source(files=FILES).version("ACTOR"),
        Source(files=(*FILES[:1], ("b.py", "c"))).version("STRATEGY"),
        Source(files=(*FILES[:1], ("c.py", "b"))).version("STRATEGY"),
        Source(files=FILES, class_name="A").version("STRATEGY"),
        Source(importable_path="a:B").version("STRATEGY"),
    }
    assert len(others | {version}) == 6


@pytest.mark.parametrize("path", ["a.b:C", "a.b.c:D"])
def test_allowed_modules_hold_those_inside(path: str) -> None:
    """An allowed name allows the modules inside it."""
    Source(importable_path=path).verify(("a.b",))


@pytest.mark.parametrize("path", ["a:C", "a.bc:D", "os:path"])
def test_other_modules_are_refused(path: str) -> None:
    """A name that only begins like an allowed one is not allowed."""
    with pytest.raises(ImportNotAllowed):
        Source(importable_path=path).verify(("a.b",))


@pytest.mark.parametrize(
    "files",
    [(("a.py", ""), ("a.py", "x")), (("a.py", "é" * 2**19), ("b.py", "x"))],
)
def test_files_are_few_and_differ(files: tuple[tuple[str, str], ...]) -> None:
    """Two files of one path, or more than a mebibyte of text, are refused."""
    with pytest.raises(SourceInvalid):
        Source(files=files).verify(())


def test_defaults_and_required_fields_come_from_the_schema() -> None:
    """A form knows which fields it must ask for, and what to fill in for the rest."""
    fields = {"a": {"type": "string"}, "b": {"default": None}, "c": {"default": 5}}
    definition = {"properties": fields, "required": ["a"]}
    classes = Classes("A", "AConfig", {"$ref": "#/$defs/AConfig", "$defs": {"AConfig": definition}})
    assert (classes.required, classes.defaults) == (["a"], {"b": None, "c": 5})
    assert (Classes("A", "", {}).required, Classes("A", "", {}).defaults) == ([], {})
