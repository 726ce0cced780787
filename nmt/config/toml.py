"""Reading recipes: TOML, `--set`, messages with the nearest right key, and the reference of all keys."""

import copy
import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from nmt.config.data import CORPUS
from nmt.config.recipe import Recipe
from nmt.config.section import Section, cut, is_list, is_table, section_of, shown
from nmt.errors import RecipeError, worded
from nmt.files import Json, JsonObject
from nmt.version import ROOT

S = TypeVar("S", bound=Section)
PACKED = Path(__file__).resolve().parents[1] / "recipes"
LIBRARY = PACKED if PACKED.is_dir() else ROOT / "recipes"
"""The folder of the recipes that come with nmt: a wheel has it within the package."""


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with the file that it came from."""

    recipe: Recipe
    path: Path
    text: str


def recipe_names() -> list[str]:
    return sorted(path.stem for path in LIBRARY.glob("*.toml"))


def find_recipe(name: str) -> Path:
    """Return the file of recipe `name`: a path, or the name of one in `recipes/`. Raises RecipeError."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = LIBRARY / (name if name.endswith(".toml") else f"{name}.toml")
    if path.name == name and shipped.is_file():
        return shipped
    if (inner := path / "recipe.toml").is_file():
        raise RecipeError(f"{name}: a run folder, not a recipe", hint=f"take {inner}")
    names = recipe_names()
    known = f", or one of {', '.join(names)}" if names else ""
    raise RecipeError(f"{name}: no such recipe", hint=f"give a TOML file{known}{suggest(name, names, '; {}')}")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read the recipe `name`, with `overrides` such as `training.seed=2`.

    Raises RecipeError, one line with the file or the override, the key, and the nearest right one.
    """
    path = find_recipe(name)
    try:
        text = path.read_bytes().decode("utf-8")
        tree = tomllib.loads(text)
    except RecursionError:
        raise RecipeError(f"{path}: not valid TOML: nested too deeply") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from None
    except ValueError:
        raise RecipeError(f"{path}: an integer has thousands of digits") from None
    return LoadedRecipe(check_overridden(tree, overrides, str(path)), path, text)


def check_overridden(tree: JsonObject, overrides: Sequence[str], origin: str) -> Recipe:
    """Validate the recipe `tree` with `overrides`. Raises RecipeError, see `check_section`."""
    return check_section(tree, overrides, origin, Recipe)


def check_section(tree: JsonObject, overrides: Sequence[str], origin: str, section: type[S]) -> S:
    """Validate `tree`, a recipe or another `section`, with `overrides`.

    Raises RecipeError, which names the override that causes it: one without which the error is not there.
    """

    def result(overrides: Sequence[str]) -> S | str:
        try:
            overridden = copy.deepcopy(tree)
            for override in overrides:
                override_key(overridden, override, "section.key=value" if section is Recipe else "key=value")
            return section.model_validate(overridden)
        except ValidationError as error:
            return describe(error, section)
        except RecursionError:
            return "nested too deeply"

    found = result(overrides)
    if isinstance(found, section):
        return found
    causes = [
        override
        for index, override in enumerate(overrides)
        if result([*overrides[:index], *overrides[index + 1 :]]) != found
    ]
    raise RecipeError(f"{f'--set {cut(causes[-1])}' if causes else origin}: {found}")


def check(tree: JsonObject, origin: str) -> Recipe:
    """Validate the recipe `tree`. Raises RecipeError, which names its `origin`."""
    return check_overridden(tree, (), origin)


def override_key(tree: JsonObject, override: str, form: str = "section.key=value") -> None:
    """Set one override in `tree`, the value as in TOML or a bare word.

    Raises RecipeError, which names the `form` that an override is to have.
    """
    key, separator, value = override.partition("=")
    path = key.strip().split(".")
    if not separator or not all(path):
        raise RecipeError(f"--set {cut(override)}: not of the form {form}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        parsed = value.strip()
    inner: JsonObject | list[JsonObject] = tree
    for section in path[:-1]:
        inner = _within(inner, section, f"--set {cut(override)}")
    if isinstance(inner, list):
        raise RecipeError(f"--set {cut(override)}: not of the form {'.'.join(path[:-1])}.NAME.key=value")
    inner[path[-1]] = parsed


def _within(tree: JsonObject | list[JsonObject], section: str, origin: str) -> JsonObject | list[JsonObject]:
    """Return a section of `tree`, made where it is missing, or the table of that name in a list of tables.

    Raises RecipeError, which names its `origin`.
    """
    if isinstance(tree, list):
        named = {each["name"]: each for each in tree if isinstance(each.get("name"), str)}
        if section not in named:
            raise RecipeError(f"{origin}: no {section!r} among {', '.join(named)}")
        return named[section]
    inner = tree.setdefault(section, {})
    if not isinstance(inner, dict) and not (isinstance(inner, list) and _are_tables(inner)):
        raise RecipeError(f"{origin}: {section} is not a section")
    return inner


def describe(error: ValidationError, root: type[Section] = Recipe) -> str:
    """Return one error of several as one line: an unknown key, which may be why another is missing, or the first.

    The error is of the section `root`.
    """
    finding = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    location = key_path(finding["loc"], root)
    is_only = location[:3] == ["data", "train", CORPUS]
    key = ".".join([*location[:2], *location[3:]] if is_only else location)  # as a recipe writes its only corpus
    kind, message, value = finding["type"], worded(finding["msg"]), finding["input"]
    if kind == "extra_forbidden":
        section = section_at(location[:-1], root)
        noun = "section" if isinstance(value, dict) else "key"
        return f"unknown {noun} {key}{suggest(location[-1], section.model_fields if section else ())}"
    if kind == "missing":
        return f"missing key {key}"
    if kind == "value_error":
        return f"{key}: {finding['ctx']['error']}" if key else str(finding["ctx"]["error"])
    if kind == "model_type":
        return f"{key} is a section, not {shown(value)}"
    return f"{key} = {shown(value)}: {message[0].lower()}{message[1:]}"


def key_path(location: Sequence[str | int], root: type[Section]) -> list[str]:
    """Return the parts of a key, without those that pydantic adds: `[key]`, and the type of a union."""
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            parts.append(str(part + 1 if section_at(parts, root) else part))  # tables of a list count from 1
        elif part != "[key]" and section_at(parts, root):
            parts.append(part)
    return parts


def section_at(location: Iterable[str], root: type[Section]) -> type[Section] | None:
    """Return the class of the section at `location` in `root`."""
    section: type[Section] | None = root
    is_name = False
    for part in location:
        if is_name:  # a free name, such as that of a test set; the part before gave its class
            is_name = False
            continue
        field = section.model_fields.get(part) if section else None
        section = section_of(field) if field else None
        is_name = field is not None and (is_table(field) or is_list(field))
    return section


def suggest(word: str, known: Iterable[str], form: str = " ({})") -> str:
    """Return `did you mean 'x'?` in `form`, with the nearest of `known`; empty if none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return form.format(f"did you mean '{near[0]}'?") if near else ""


@dataclass(frozen=True)
class Knob:
    """A key of the recipe in the reference."""

    key: str
    type: str
    default: str
    text: str


def knobs(section: type[Section] = Recipe, prefix: str = "") -> Iterator[Knob]:
    """Yield every key of the recipe, from the fields and their docstrings."""
    for name, field in section.model_fields.items():
        if inner := section_of(field):
            named = ".NAME" if is_table(field) or is_list(field) else ""
            yield from knobs(inner, f"{prefix}{name}{named}.")
        else:
            default = "required" if field.is_required() else to_toml(field.get_default(call_default_factory=True))
            yield Knob(prefix + name, type_name(field), default, " ".join((field.description or "").split()))


def explain(key: str | None) -> list[Knob]:
    """Return the knobs of `key`, a key or a section, or all of them. Raises RecipeError."""

    def is_within(written: str) -> bool:
        return key is None or f"{written}.".startswith(f"{key}.")

    # The only training corpus may be written without a name.
    chosen = [knob for knob in knobs() if is_within(knob.key) or is_within(knob.key.replace("train.NAME", "train"))]
    if not chosen:
        known = [knob.key for knob in knobs()]
        names = {part for full in known for part in (full, full.rpartition(".")[0]) if part}
        raise RecipeError(f"no key {key}{suggest(key or '', names)}")
    return chosen


def type_name(field: FieldInfo) -> str:
    """Return the type and the bounds of a field: `int > 0`."""
    bounds = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}

    def write(annotation: object, metadata: Sequence[object] = ()) -> str:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return write(arguments[0], arguments[1:])
        if origin is Literal:
            return " | ".join(to_toml(value) for value in arguments)
        if origin is dict:
            return "table"
        if origin is list:
            return f"list of {write(arguments[0])}"
        if arguments:
            return " | ".join(write(part, metadata) for part in arguments if part is not type(None))
        flat = [m for part in metadata for m in getattr(part, "metadata", [part])]
        limits = [f"{symbol} {getattr(m, name)}" for m in flat for name, symbol in bounds.items() if hasattr(m, name)]
        return " ".join([getattr(annotation, "__name__", ""), ", ".join(limits)]).strip()

    return write(field.annotation, field.metadata)


def to_toml(value: object) -> str:
    """Return a value in TOML; None, which TOML lacks, as the word "none"."""
    match value:
        case None:
            return '"none"'
        case bool():
            return str(value).lower()
        case str():
            # TOML escapes as JSON does, and DEL besides.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(to_toml(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{bare_key(key)} = {to_toml(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)


def bare_key(key: str) -> str:
    """Return the name of a key in TOML, in quotes where it has a dot."""
    return to_toml(key) if "." in key else key


def resolved_toml(recipe: Recipe) -> str:
    """Return a TOML file with every key of `recipe`, defaults included."""
    top: list[str] = []
    sections: list[str] = []

    def write(values: JsonObject, path: str) -> None:
        lists = {key: value for key, value in values.items() if isinstance(value, list) and _are_tables(value)}
        plain = [
            f"{key} = {to_toml(value)}"
            for key, value in values.items()
            if key not in lists and not isinstance(value, dict | None)
        ]
        unset = [f"{key} = {to_toml(None)}" for key, value in values.items() if value is None]
        if path and (plain or unset):
            sections.append("\n".join([f"[{path}]", *plain, *unset]))
        else:
            top.extend(plain)
        for key, value in values.items():
            inner = f"{path}.{bare_key(key)}".lstrip(".")
            if isinstance(value, dict):
                write(value, inner)
            for table in lists.get(key, []):
                sections.append("\n".join([f"[[{inner}]]", *(f"{k} = {to_toml(v)}" for k, v in table.items())]))

    write(recipe.model_dump(), "")
    return "\n\n".join(["\n".join(top), *sections])


def _are_tables(values: list[Json]) -> bool:
    return bool(values) and all(isinstance(value, dict) for value in values)
