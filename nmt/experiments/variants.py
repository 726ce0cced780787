"""The variants of a sweep: those that a recipe names, times a grid of values."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from nmt.config.section import cut
from nmt.config.toml import suggest, to_toml
from nmt.errors import RecipeError, UsageError
from nmt.files import JsonObject, digest

BASE = "base"  # the recipe itself
TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|.', re.DOTALL)  # a string of TOML, or a character
LONGEST = 100  # characters of the name of a folder


@dataclass(frozen=True)
class Variant:
    """A setting of a sweep."""

    name: str
    overrides: tuple[str, ...]  # what it changes, `section.key=value` as for --set

    @property
    def folder(self) -> str:
        """The name as one of a file: other characters are replaced, and then a digest tells such names apart."""
        plain = re.sub(r"[^A-Za-z0-9._=,+-]", "_", self.name)[:LONGEST]
        return plain if plain == self.name else f"{plain}-{digest(self.name)[:8]}"


def make_variants(
    named: dict[str, JsonObject], overrides: Sequence[str], chosen: Sequence[str] = ()
) -> tuple[list[str], list[Variant]]:
    """Return the overrides that all variants share, and the variants: those `named` times the values of the grid.

    The section `named` is [sweep] of the recipe, of which those `chosen` are taken, else all and the base. The grid is
    made of the `overrides` with several values, `section.key=1,2`. Raises RecipeError or UsageError.
    """
    if BASE in named:
        raise RecipeError(f"sweep.{BASE}: the recipe without changes has this name", hint="take another name")
    tables = {BASE: {}, **named}
    if unknown := [name for name in chosen if name not in tables]:
        raise UsageError(
            f"--variant {unknown[0]}: no such variant{suggest(unknown[0], tables)}", hint=f"it has {', '.join(tables)}"
        )
    common, axes = split_grid(overrides)
    variants = []
    for name in dict.fromkeys(chosen or tables):
        changes = list(flat(tables[name]))
        if name != BASE and not changes:
            raise RecipeError(f"sweep.{name}: changes no key", hint="give it one, or take it out")
        for values in product(*axes.values()):
            points = [f"{key}={value}" for key, value in zip(axes, values, strict=True)]
            words = [] if not named and axes else [name]
            words += [f"{short(key, list(axes))}={value}" for key, value in zip(axes, values, strict=True)]
            variants.append(Variant(",".join(words), (*changes, *points)))
    return common, variants


def split_grid(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the overrides of one value, and the values by key of the others. Raises RecipeError."""
    common: list[str] = []
    axes: dict[str, list[str]] = {}
    keys = [override.partition("=")[0].strip() for override in overrides]
    for key, override in zip(keys, overrides, strict=True):
        values = split_values(override.partition("=")[2])
        if len(values) == 1:
            common.append(override)
            continue
        if key == "training.seed":
            raise RecipeError(f"--set {cut(override)}: the seeds of a sweep are given by --seeds")
        if "" in values:
            raise RecipeError(f"--set {cut(override)}: an empty value among several")
        if repeated := next((value for value in values if values.count(value) > 1), None):
            raise RecipeError(f"--set {cut(override)}: the value {cut(repeated)} occurs twice")
        if keys.count(key) > 1:
            raise RecipeError(f"--set {cut(override)}: {key} is given twice")
        axes[key] = values
    return common, axes


def split_values(text: str) -> list[str]:
    """Split the values of an override at the commas that stand neither in a list or table nor in a quoted string.

    >>> split_values('1, [2, 3], "a,b"')
    ['1', '[2, 3]', '"a,b"']
    """
    values, depth = [""], 0
    for token in TOKENS.findall(text):
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if token == "," and depth <= 0:
            values.append("")
        else:
            values[-1] += token
    return [value.strip() for value in values]


def flat(table: JsonObject, prefix: str = "") -> Iterator[str]:
    """Yield the keys of a variant's table as overrides."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={to_toml(value)}"


def short(key: str, keys: Sequence[str]) -> str:
    """Return the last part of `key`, or all of it where another of `keys` has the same last part."""
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in keys) > 1 else last
