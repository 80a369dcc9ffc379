"""Field rules of the contracts, checked by protovalidate in one place."""

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from meshkit.errors import FieldViolation, InvalidField

_validator = Validator()


def validate(message: Message) -> None:
    """Raise ``InvalidField`` naming every field that breaks its rule."""
    found = _validator.collect_violations(message)
    if not found:
        return
    violations = [FieldViolation(_path(each), _text(each)) for each in found]
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    raise InvalidField(f"{first.field}: {first.description}{more}", violations=violations)


def _path(violation: Violation) -> str:
    parts: list[str] = []
    for element in violation.proto.field.elements if violation.proto.field else ():
        name = element.field_name
        subscript = element.subscript
        parts.append(name if subscript is None else f"{name}[{subscript.value}]")
    return ".".join(parts)


def _text(violation: Violation) -> str:
    return violation.proto.message or f"breaks the rule {violation.proto.rule_id}"
