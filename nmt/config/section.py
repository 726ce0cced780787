"""What all sections of the recipe are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    model_validator,
)

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


@dataclass(frozen=True)
class Flag:
    """How a command line writes a field, where its name does not say it."""

    name: str = ""
    """The option: `--tag` of the field `tags`."""
    metavar: str | None = None
    """The option's value in the help, in place of its type."""


class Section(BaseModel):
    """A frozen part of the recipe that knows no other keys than its fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def none_has_a_name(cls, values: Any) -> Any:
        # TOML has no null: an option is switched off by the word "none" where its type allows None.
        if not isinstance(values, dict):
            return values
        off = {key for key, value in values.items() if value == "none" and allows_none(cls, key)}
        return {key: None if key in off else value for key, value in values.items()}


def allows_none(section: type[Section], key: str) -> bool:
    """Tell whether the field `key` of `section` may be None."""
    field = section.model_fields.get(key)
    return field is not None and type(None) in get_args(field.annotation)
