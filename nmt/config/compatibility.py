"""The present meaning of recorded settings: manifests, checkpoints, locks and bundles of all versions of nmt.

A record holds the knobs that its nmt knew. One that it did not know counts as its value "as before", see `AsBefore`.
"""

from collections.abc import Collection, Iterator
from itertools import zip_longest
from typing import TypeVar

from pydantic.fields import FieldInfo

from nmt.config.recipe import Recipe
from nmt.config.section import MISSING, Affects, AsBefore, Effect, Section, is_list, is_table, section_of
from nmt.files import Json, JsonObject, differing

S = TypeVar("S", bound=Section)
RECIPE = "recipe"  # key of the knobs in recorded inputs
_ONCE_ALONE = {
    "seed": "training.seed",
    "max_length": "model.max_length",
    "protect": "data.protect",
    "sampling": "tokenizer.sampling",
    "temperature": "data.temperature",
}
"""Keys under which nmt 0.1.0 recorded single knobs, beside the sections."""


def effects_of(section: type[Section], name: str) -> frozenset[Effect]:
    """Return the effects of a field: those that it declares, or else its section's."""
    marks = reversed(section.model_fields[name].metadata)
    return next((mark.effects for mark in marks if isinstance(mark, Affects)), section.affects)


def neutral_of(field: FieldInfo) -> object:
    """Return the value of a field that does the same as its value as before."""
    return next((mark.neutral for mark in field.metadata if isinstance(mark, Affects)), MISSING)


def as_before(field: FieldInfo) -> object:
    """Return the value of a field that does what nmt did before it knew the field."""
    default = MISSING if field.is_required() else field.get_default(call_default_factory=True)
    return next((mark.value for mark in field.metadata if isinstance(mark, AsBefore)), default)


def knobs_with(effects: Collection[Effect], section: Section) -> JsonObject:
    """Return the values of the knobs of `section`, and of the sections in it, that have one of `effects`."""
    chosen: JsonObject = {}
    for name in type(section).model_fields:
        if _has(effects, type(section), name):
            value = getattr(section, name)
            match value:
                case Section():
                    value = knobs_with(effects, value)
                case dict() if is_table(type(section).model_fields[name]):
                    value = {key: knobs_with(effects, each) for key, each in value.items()}
                case [Section(), *_]:
                    value = [knobs_with(effects, each) for each in value]
            chosen[name] = value
    return chosen


def changed_inputs(recorded: JsonObject, wanted: JsonObject, effects: Collection[Effect]) -> list[str]:
    """Name the inputs that differ in what they do, whichever nmt recorded them; knobs count that have `effects`.

    The version of nmt does not count: a new one alone makes nothing anew.
    """
    first, second = (_laid_out(inputs) for inputs in (recorded, wanted))
    one, other = (dict(_knobs_in_use(inputs[RECIPE], effects, Recipe)) for inputs in (first, second))
    knobs = {key for key in one.keys() | other.keys() if one.get(key, MISSING) != other.get(key, MISSING)}
    return sorted([*knobs, *(key for key in differing(first, second) if key.partition(".")[0] not in ("nmt", RECIPE))])


def recorded_knobs(inputs: JsonObject) -> JsonObject:
    """Return the knobs of recorded inputs, by section, as far as its nmt recorded them."""
    return _laid_out(inputs)[RECIPE]


def completed(values: JsonObject, section: type[Section]) -> JsonObject:
    """Add to the recorded `values` of a section the knobs that its nmt did not know, as before them.

    What is no section is left as it is, for the section itself to refuse.
    """
    if not isinstance(values, dict):
        return values
    whole = dict(values)
    for name, field in section.model_fields.items():
        inner, value = section_of(field), values.get(name, as_before(field))
        if isinstance(value, Section):
            value = {}
        if inner and isinstance(value, dict) and is_table(field):
            value = {key: completed(each, inner) for key, each in value.items()}
        elif inner and isinstance(value, list) and is_list(field):
            value = [completed(each, inner) for each in value]
        elif inner and isinstance(value, dict):
            value = completed(value, inner)
        if value is not MISSING:
            whole[name] = value
    return whole


def as_begun(section: S, recorded: JsonObject) -> S:
    """Return `section` for a run that was begun with its `recorded` values.

    A knob that is not given in the section stays as before, see `AsBefore`, if it is so in the record or not there.
    """
    changed: dict[str, object] = {}
    recorded = recorded if isinstance(recorded, dict) else {}
    for name, field in type(section).model_fields.items():
        value, before, there = getattr(section, name), as_before(field), recorded.get(name, MISSING)
        table = there if isinstance(there, dict) else {}
        if isinstance(value, Section):
            changed[name] = as_begun(value, table)
        elif is_table(field):
            changed[name] = {key: as_begun(each, table.get(key) or {}) for key, each in value.items()}
        elif is_list(field) and value:
            begun = there if isinstance(there, list) else []
            changed[name] = [as_begun(each, old or {}) for each, old in zip_longest(value, begun[: len(value)])]
        elif name not in section.model_fields_set and there in (MISSING, before):
            changed[name] = before
    return section.model_copy(
        update={name: value for name, value in changed.items() if value != getattr(section, name)}
    )


def _has(effects: Collection[Effect], section: type[Section], name: str) -> bool:
    """Return whether a field, or one within the section that it holds, has one of `effects`."""
    inner = section_of(section.model_fields[name])
    if inner is None:
        return not effects_of(section, name).isdisjoint(effects)
    return any(_has(effects, inner, key) for key in inner.model_fields)


def _knobs_in_use(
    values: JsonObject, effects: Collection[Effect], section: type[Section], prefix: str = ""
) -> Iterator[tuple[str, Json]]:
    """Yield the knobs of recorded `values`, by dotted key, that have one of `effects` and are not as before them.

    A section that may be missing is one where it is there. Keys of no field count: another nmt knows what they do; and
    so does what is no section where one should be.
    """
    if not isinstance(values, dict):
        yield prefix.rstrip("."), values
        return
    yield from ((prefix + name, value) for name, value in values.items() if name not in section.model_fields)
    for name, field in section.model_fields.items():
        if name not in values or not _has(effects, section, name):
            continue
        key, inner, value = prefix + name, section_of(field), values[name]
        if inner and isinstance(value, list) and is_list(field):
            for number, table in enumerate(value, 1):
                yield from _knobs_in_use(table, effects, inner, f"{key}.{number}.")
        elif inner and isinstance(value, dict):
            if as_before(field) is None:
                yield key, "set"
            tables = {f"{key}.{each}.": value[each] for each in value} if is_table(field) else {f"{key}.": value}
            for path, table in tables.items():
                yield from _knobs_in_use(table, effects, inner, path)
        elif value not in (as_before(field), neutral_of(field)):
            yield key, value


def _laid_out(inputs: JsonObject) -> JsonObject:
    """Lay inputs out as today that nmt 0.1.0 recorded, with sections side by side, and some knobs without theirs."""
    if RECIPE in inputs:
        return inputs
    rest: JsonObject = {}
    recipe: JsonObject = {}

    def put(path: str, value: Json) -> None:
        *sections, name = path.split(".")
        inner = recipe
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value

    for key, value in inputs.items():
        section = section_of(Recipe.model_fields[key]) if key in Recipe.model_fields else None
        if key in _ONCE_ALONE:
            put(_ONCE_ALONE[key], value)
        elif key == "weights" and isinstance(value, dict):
            for corpus, weight in value.items():
                recipe.setdefault("data", {}).setdefault("train", {})[corpus] = {"weight": weight}
        elif key == "pieces" and isinstance(value, dict) and "" in value:
            recipe["cleaning"] = value[""]
            for corpus, cleaning in value.items():
                if corpus:
                    recipe.setdefault("data", {}).setdefault("train", {})[corpus] = {"cleaning": cleaning}
        elif key == "average" and isinstance(value, dict) and value.keys() >= {"of", "count"}:
            put("training.average", value["of"])
            put("training.average_checkpoints", value["count"])
        elif section and isinstance(value, dict) and not section.model_fields.keys().isdisjoint(value):
            recipe[key] = {**recipe.get(key, {}), **value}
        else:  # digests and the like
            rest[key] = value
    return {**rest, RECIPE: recipe}
