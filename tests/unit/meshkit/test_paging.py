"""Page tokens."""

import base64
from contextvars import copy_context
from typing import Any

import pytest

from integration.meshkit.echo import EchoRequest
from meshkit.context import Caller, set_caller
from meshkit.errors import InvalidPageToken
from meshkit.paging import page


def as_caller(*projects: str) -> Caller:
    """Return a caller with these projects."""
    return Caller("tester", frozenset(), projects, 0.0, "")


@pytest.fixture(autouse=True)
def caller() -> None:
    """Call as somebody with one project."""
    set_caller(as_caller("default"))
    return


def first_token(**filters: Any) -> str:
    """Return the token of the second page of a list of three with two a page."""
    first = page(EchoRequest(page_size=2, **filters))
    rows, token = first.cut(["a", "b", "c"], key=lambda row: ("t", row))
    assert rows == ["a", "b"]
    return token


def test_a_token_resumes_after_the_last_row() -> None:
    """The second page begins after the key of the first one's last row."""
    second = page(EchoRequest(page_size=7, page_token=first_token()))
    assert (second.size, second.after) == (7, ("t", "b"))


def test_the_last_page_has_no_token() -> None:
    """A read that finds no more than the page ends the list."""
    assert page(EchoRequest(page_size=2)).cut(["a", "b"], key=lambda row: (row,)) == (
        ["a", "b"],
        "",
    )


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (7, 7), (501, 500)])
def test_sizes(asked: int, given: int) -> None:
    """0 is the default and more than the maximum is the maximum."""
    assert page(EchoRequest(page_size=asked)).size == given


@pytest.mark.parametrize(
    "token", ["%%%", "x", base64.b64encode(b"[]").decode(), base64.b64encode(b"7").decode()]
)
def test_damaged_tokens(token: str) -> None:
    """A token that we did not make is refused."""
    with pytest.raises(InvalidPageToken):
        page(EchoRequest(page_token=token))


def test_tokens_of_another_filter() -> None:
    """A token is bound to its filter and to the caller's projects."""
    token = first_token(text="a")
    with pytest.raises(InvalidPageToken, match="another filter"):
        page(EchoRequest(text="b", page_token=token))

    def as_somebody_else() -> None:
        set_caller(as_caller("other"))
        with pytest.raises(InvalidPageToken, match="another filter"):
            page(EchoRequest(text="a", page_token=token))

    copy_context().run(as_somebody_else)


@pytest.mark.parametrize("position", range(0, 40, 3))
def test_a_changed_token_is_noticed(position: int) -> None:
    """Any changed character is damage, and never a key of another kind."""
    token = first_token()
    other = "A" if token[position] != "A" else "B"
    with pytest.raises(InvalidPageToken):
        page(EchoRequest(page_token=token[:position] + other + token[position + 1 :]))
