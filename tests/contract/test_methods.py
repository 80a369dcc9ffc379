"""Every method of the mesh keeps the conventions of the contracts."""

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from contract.contracts import (
    Method,
    annotations_pb2,
    messages,
    methods,
    options_pb2,
    validate_pb2,
)

READING = ("Get", "List", "Watch", "Read", "Validate", "Resolve", "WhoAmI", "Exchange", "Preview")
"""Verbs that change nothing; an exchange of a key for a token leaves nothing to repeat."""
SCOPES = {
    *("strategy.read", "strategy.write", "data.read", "data.write"),
    *("backtest.read", "backtest.run", "auth.admin"),
    *("trader.read", "trader.write", "trader.deploy", "order.read", "order.write"),
    *("safety.halt", "safety.reset", "credential.read", "credential.write"),
}

METHODS = list(methods())
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


def _fields(message: DescriptorProto) -> dict[str, FieldDescriptorProto]:
    return {field.name: field for field in message.field}


def _request_id(message: DescriptorProto) -> FieldDescriptorProto | None:
    """Return the field in a request, or in a part of it: an upload's comes with its header."""
    if found := _fields(message).get("request_id"):
        return found
    parts = [messages().get(field.type_name) for field in message.field]
    return next((f for p in parts if p and (f := _fields(p).get("request_id"))), None)


def test_there_are_methods() -> None:
    """The descriptor set is not an empty one."""
    assert len({m.name.partition("/")[0] for m in METHODS}) >= 5


@each_method
def test_rule(method: Method) -> None:
    """A method has a rule that names exactly one way to be allowed."""
    assert method.proto.options.HasExtension(options_pb2.rule)
    rule = method.proto.options.Extensions[options_pb2.rule]
    assert [bool(rule.scope), rule.public, rule.authenticated].count(True) == 1
    assert not rule.scope or rule.scope in SCOPES
    assert set(rule.conditional_scopes) <= SCOPES
    endless = method.verb_noun.startswith("Watch") or "follow" in _fields(method.request)
    assert rule.watch == endless


@each_method
def test_http(method: Method) -> None:
    """REST works for every method but uploads by stream, which HTTP/JSON cannot carry."""
    has = method.proto.options.HasExtension(annotations_pb2.http)
    assert has != method.proto.client_streaming


@each_method
def test_own_messages(method: Method) -> None:
    """A request and a response belong to one method."""
    assert method.request.name == f"{method.verb_noun}Request"
    assert method.response.name == f"{method.verb_noun}Response"


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.verb_noun.startswith("List")], ids=lambda m: m.name
)
def test_lists_are_paged(method: Method) -> None:
    """A list has pages from the first day."""
    assert {"page_size", "page_token"} <= set(_fields(method.request))
    assert "next_page_token" in _fields(method.response)


@pytest.mark.parametrize(
    "method", [m for m in METHODS if not m.verb_noun.startswith(READING)], ids=lambda m: m.name
)
def test_changes_can_be_repeated(method: Method) -> None:
    """A change carries the UUID under which a repetition is known."""
    field = _request_id(method.request)
    assert field is not None
    assert field.options.Extensions[validate_pb2.field].string.uuid
    if not method.proto.client_streaming:  # a client cannot send a stream twice by itself
        assert method.proto.options.Extensions[options_pb2.rule].idempotent
