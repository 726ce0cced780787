"""Sections: frozen, strict, with "none" for what may be off."""

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError
from sections import finding

from nmt.config.section import Affects, AsBefore, Section, allows_none, first_error, is_table, section_of


class Inner(Section):
    """A section in a section."""

    size: int = 1


class Outer(Section):
    """A section of every kind of field."""

    count: int = 2
    limit: Annotated[float, Field(gt=0)] | None = 1.0
    word: str = "x"
    inner: Inner = Inner()
    maybe: Inner | None = None
    table: dict[str, Inner] = Field(default_factory=dict)


def test_a_section_is_frozen_and_knows_its_keys_alone() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().count = 3  # type: ignore[misc]
    assert finding(Outer, other=1) == ("other", "Extra inputs are not permitted")


@pytest.mark.parametrize("value", ["2", 2.0, True, "none", None])
def test_types_are_strict(value: Any) -> None:
    assert finding(Outer, count=value) == ("count", "Input should be a valid integer")


def test_infinity_is_no_number() -> None:
    assert finding(Outer, limit=float("inf"))[0].startswith("limit")


def test_none_switches_off_what_may_be_off() -> None:
    assert Outer.model_validate({"limit": "none", "maybe": "none"}) == Outer(limit=None, maybe=None)
    assert Outer.model_validate({"word": "none"}).word == "none"
    assert Outer.model_validate(Outer(count=4)).count == 4


def test_fields_tell_what_they_hold() -> None:
    fields = Outer.model_fields
    assert [name for name in fields if allows_none(Outer, name)] == ["limit", "maybe"]
    assert not allows_none(Outer, "missing")
    assert [name for name, field in fields.items() if section_of(field) is Inner] == ["inner", "maybe", "table"]
    assert [name for name, field in fields.items() if is_table(field)] == ["table"]


def test_an_error_names_the_field_and_no_control_character() -> None:
    for values, message in (
        ({"limit": 0.0}, "limit: must be greater than 0"),
        ({"inner": {"x": 1}}, "inner.x: Extra inputs are not permitted"),
        ({"\x1b[2J": 1}, "'\\x1b[2J': Extra inputs are not permitted"),
        ({"a" * 999: 1}, f"{'a' * 97}...: Extra inputs are not permitted"),
    ):
        with pytest.raises(ValidationError) as caught:
            Outer.model_validate(values)
        assert first_error(caught.value).startswith(message)


def test_marks_hold_what_was_declared() -> None:
    assert Affects("text", "ids").effects == {"text", "ids"}
    assert Affects().effects == frozenset()
    assert Affects("updates", neutral=1).neutral == 1
    assert AsBefore(None).value is None
