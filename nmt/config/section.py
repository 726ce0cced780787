"""The base of all sections of the recipe, and what a field declares: the results that its value changes."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.fields import FieldInfo

from nmt.errors import worded

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Effect = Literal[
    "synthetic", "text", "augmentation", "tokenizer", "ids", "weights", "updates", "training", "decoding", "bundle"
]
"""A result that a knob changes: the synthetic pairs, the cleaned text, the pairs added to it, the tokenizer, the ids,
the shapes of the weights, the updates, the rest of a training (its length, checkpoints and validations), all
translations and scores, or the bundle."""
LARGEST = 10**12  # far more than any data have, and what 64-bit integers hold even in products
Count = Annotated[int, Field(gt=0, le=LARGEST)]
Natural = Annotated[int, Field(ge=0, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
SHOWN = 100  # characters of a value in a message
MISSING = object()  # the value of what has none


class Affects:
    """Declare the effects of a field, in place of those of its section: `Annotated[int, Affects("ids")]`.

    Without effects, as `Affects()`, the field changes no result. `neutral` is a value that does the same as the one as
    before, see `AsBefore`.
    """

    def __init__(self, *effects: Effect, neutral: object = MISSING) -> None:
        self.effects, self.neutral = frozenset(effects), neutral


class AsBefore:
    """Declare the value of a new field that does what nmt did before it knew the field; otherwise its default."""

    def __init__(self, value: object) -> None:
        self.value = value


@dataclass(frozen=True)
class Flag:
    """How a command line writes a field, where its name does not say it."""

    name: str = ""  # the option: `--tag` of the field `tags`
    metavar: str | None = None  # the option's value in the help, in place of its type
    environment: str | None = None  # the variable that gives its value where the option is not given


class Section(BaseModel):
    """A frozen part of the recipe that knows no other keys than its fields."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
    affects: ClassVar[frozenset[Effect]] = frozenset({"updates"})
    """Effects of the fields that declare none: by default checkpoints of another value are refused."""

    @model_validator(mode="before")
    @classmethod
    def none_has_a_name(cls, values: object) -> object:
        # TOML has no null: an option is switched off by the word "none" where its type allows None.
        if not isinstance(values, dict):
            return values
        off = {key for key, value in values.items() if value == "none" and allows_none(cls, key)}
        return {key: None if key in off else value for key, value in values.items()}

    @model_validator(mode="after")
    def no_text_holds_nul(self) -> Self:
        # Which no name of a file may hold, and no text does.
        for key, value in self:
            if any(isinstance(one, str) and "\0" in one for one in (value if isinstance(value, list) else [value])):
                raise ValueError(f"{key} holds the character NUL")
        return self


def shown(value: object) -> str:
    """Write a value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        return "a number too long to show"
    return cut(text)


def cut(text: str) -> str:
    """Return `text` for a message, its beginning where it is long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def first_error(error: ValidationError) -> str:
    """Return the first of the errors as one line: the field and its message."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{cut(where) if where.isprintable() else shown(where)}: {worded(first['msg'])}"


def allows_none(section: type[Section], key: str) -> bool:
    """Return whether the field `key` of `section` may be None."""
    field = section.model_fields.get(key)
    return field is not None and type(None) in get_args(field.annotation)


def section_of(field: FieldInfo) -> type[Section] | None:
    """Return the section that a field holds, itself or as the values of a table."""
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None)


def is_table(field: FieldInfo) -> bool:
    """Return whether a field is a table of sections under free names."""
    return get_origin(field.annotation) is dict and section_of(field) is not None
