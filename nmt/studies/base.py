"""The base of all studies: a grid of cells, each trained and tested by itself, one table, and plots.

A study is one file of this package: a subclass of `StudyConfig`, whose fields are what may be set, and one of `Study`,
which `catalogue` lists. `runner` makes the cells, side by side and resumable, and writes what they found.

The module of a study is imported for its help: what is slow to import, such as torch and Matplotlib, is imported within
`run` and `plot`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, Self, TypeVar, get_args, get_origin

from pydantic import model_validator

from nmt.config.section import Section, Seed
from nmt.config.toml import check_section, knobs, to_toml
from nmt.files import Json, JsonObject

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

Results = Mapping[str, JsonObject]
"""What the finished cells found, by name, in the order of the grid."""
Rows = list[dict[str, str]]
"""The rows of a table: cells by column, the same columns in each row."""
GIB = 2**30  # bytes


class StudyConfig(Section):
    """The fields of a study, for `--set`."""

    quick: ClassVar[Mapping[str, object]] = {}
    """The values that `--quick` gives to fields, in place of their defaults."""
    seed: Seed = 1
    """Seed of all that is drawn: data, weights, order."""

    @model_validator(mode="before")
    @classmethod
    def split_lists(cls, values: object) -> object:
        """Let a list be written as words between commas: `--set tasks=copy,reverse`."""
        if not isinstance(values, dict):
            return values
        lists = {
            key: get_args(field.annotation)[0]
            for key, field in cls.model_fields.items()
            if get_origin(field.annotation) is list and key in values
        }
        return {**values, **{key: _items(values[key], kind) for key, kind in lists.items()}}

    @model_validator(mode="after")
    def lists_are_sets(self) -> Self:
        """Refuse an empty list, and a value that is in one twice: the grid would have no cell, or one twice."""
        for key, value in self:
            if value == []:
                raise ValueError(f"{key}: the list is empty")
            if isinstance(value, list) and (twice := [item for item in value if value.count(item) > 1]):
                raise ValueError(f"{key}: {twice[0]} is there twice")
        return self


def _items(value: object, kind: object) -> object:
    """Return the items of a list that is written with commas, or as its only item; any other value as it is."""
    if isinstance(value, str):
        number = get_args(kind)[0] if get_origin(kind) is Annotated else kind  # without its bounds
        return [_item(item.strip(), number) for item in value.split(",")]
    return [value] if isinstance(value, int | float) else value


def _item(text: str, kind: object) -> object:
    """Return the number that `text` is, in a list of numbers; what is none is left for the list to refuse."""
    with suppress(ValueError):
        if kind in (int, float):
            return int(text) if kind is int else float(text)
    return text


@dataclass(frozen=True)
class Cell:
    """A point of the grid; a study adds its own fields."""

    name: str  # of its folder: letters, digits and the characters `._=,-`


C = TypeVar("C", bound=StudyConfig)
K = TypeVar("K", bound=Cell)


class Study(ABC, Generic[C, K]):
    """A question about models, answered by a grid of trainings; the docstring of the subclass is the command's help."""

    name: ClassVar[str]
    """What the command calls it: `nmt study NAME`."""
    config: type[C]
    """Its fields."""
    says: ClassVar[str]
    """What the papers say, with their numbers, in a few sentences; printed under the table."""
    memory: ClassVar[int] = GIB
    """About the most bytes that a cell takes."""

    def check(self, config: C) -> None:
        """Raise RecipeError where the fields do not go together. By default nothing more is checked than each field."""

    @abstractmethod
    def cells(self, config: C) -> Sequence[K]:
        """Return the grid, in the order in which the cells are run."""

    @abstractmethod
    def run(self, cell: K, config: C, folder: Path) -> JsonObject:
        """Train and test `cell` in `folder`, which is its own, and return what was found.

        It is called again after it was killed at any moment, and then returns what it would have returned: the values
        are a function of `cell` and `config` alone, without times. One thread computes it.
        """

    @abstractmethod
    def table(self, config: C, results: Results) -> Rows:
        """Return the rows of the table, made of finished cells alone; some may be missing."""

    @abstractmethod
    def plot(self, config: C, results: Results) -> dict[str, Figure]:
        """Return figures by the names of their files, without an ending, of finished cells alone."""


AnyStudy = Study[Json, Json]
"""A study of any fields and cells."""


def configure(study: Study[C, K], overrides: Sequence[str], *, is_quick: bool, seed: int | None) -> C:
    """Return the fields of `study` with the values of its quick form, of `overrides`, and of `seed`, if they are given.

    Raises RecipeError, one line with the override, and the nearest right field, and what the study's `check` raises.
    """
    values = dict(study.config.quick) if is_quick else {}
    given = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    config = check_section(values, given, study.name, study.config)
    study.check(config)
    return config


def described(study: Study[C, K]) -> list[str]:
    """Return a line for each field of `study`: its name, type, default, value in the quick form, and meaning."""
    quick = study.config.quick
    return [
        f"{knob.key} ({knob.type}) = {knob.default}"
        f"{f', quick {to_toml(quick[knob.key])}' if knob.key in quick else ''}: {knob.text}"
        for knob in knobs(study.config)
    ]
