"""The enums of the contracts are those of the installed Nautilus, value for value."""

from enum import Enum

import pytest
from nautilus_trader.model import enums as theirs

from mesh.common.v1 import enums_pb2 as ours
from meshkit import enums
from meshkit.errors import InvalidField
from meshkit.nautilus.enums import MIRRORED, NOT_MIRRORED, to_nautilus, to_proto


def _upstream() -> dict[str, type[Enum]]:
    found = {name: value for name, value in vars(theirs).items() if isinstance(value, type)}
    return {n: v for n, v in found.items() if issubclass(v, Enum) and len(v.__members__) > 0}


def test_every_upstream_enum_is_mirrored_or_left_out_for_a_reason() -> None:
    """A new Nautilus enum breaks this until somebody decides about it."""
    assert set(_upstream()) == set(MIRRORED) | set(NOT_MIRRORED)


@pytest.mark.parametrize("name", MIRRORED)
def test_values_are_the_same(name: str) -> None:
    """A new Nautilus value breaks this until the contract has it."""
    twin = getattr(ours, name)
    have = {v.name.removeprefix(enums.prefix(twin)) for v in twin.DESCRIPTOR.values}
    assert have - {"UNSPECIFIED"} == set(_upstream()[name].__members__) - {"UNSPECIFIED"}


@pytest.mark.parametrize("name", MIRRORED)
def test_values_go_there_and_back(name: str) -> None:
    """A member, its number and its name all become one number, which becomes the member again."""
    kind = _upstream()[name]
    for member in kind:
        number = to_proto(kind, member)
        assert to_proto(kind, member.value) == to_proto(kind, member.name) == number
        assert to_nautilus(kind, number) is member


@pytest.mark.parametrize("name", MIRRORED)
def test_numbers_keep_the_order_of_nautilus(name: str) -> None:
    """A number is Nautilus' own, or one higher throughout where Nautilus counts from 0."""
    kind = _upstream()[name]
    steps = {to_proto(kind, m) - m.value for m in kind if m.name != "UNSPECIFIED"}
    assert steps in ({0}, {1})


def test_nothing_said_is_refused() -> None:
    """0 and unknown numbers raise a typed error that names the enum."""
    for number in (0, 99):
        with pytest.raises(InvalidField, match="OrderSide"):
            to_nautilus(theirs.OrderSide, number)
    with pytest.raises(ValueError, match="SIDEWAYS"):
        to_proto(theirs.OrderSide, "SIDEWAYS")
    with pytest.raises(TypeError, match="RecordFlag"):
        to_proto(theirs.RecordFlag, 1)


def test_as_the_venue_does_is_a_value_of_oms_type() -> None:
    """Nautilus has a word of its own for an OMS type that was not said."""
    assert to_nautilus(theirs.OmsType, 0) is theirs.OmsType.UNSPECIFIED


def test_bare_names() -> None:
    """Domain code spells a value without its prefix."""
    assert enums.bare(ours.OrderSide, ours.ORDER_SIDE_BUY) == "BUY"
    assert enums.number(ours.BookType, "L2_MBP") == ours.BOOK_TYPE_L2_MBP
    assert enums.bare(ours.OrderSide, 0) == ""
    assert enums.number(ours.OrderSide, "") == 0
    with pytest.raises(InvalidField, match="use one of"):
        enums.number(ours.OrderSide, "HOLD")
