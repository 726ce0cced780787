"""The lock of a run: all that its scores depend on, and all that it made; a run may be held to that of another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, ValidationError

from nmt import console
from nmt.config.compatibility import knobs_with
from nmt.config.recipe import Recipe
from nmt.config.section import Effect, Section, first_error, shown
from nmt.errors import ArtifactError, RecipeError
from nmt.files import Json, JsonObject, differences, differing, is_missing, read_record
from nmt.pipeline.recipe_file import recorded_recipe
from nmt.version import __version__

FORMAT = 2  # 1 has neither the code of nmt nor results
INPUTS = frozenset({"recipe", "data", "init", "code"})
"""The parts of a lock in which another run may not differ; in others a difference is only named."""


class Session(Section):
    """The environment of a run, or of a part of one that went on in another environment."""

    began: str  # time, ISO 8601
    versions: dict[str, str]  # of nmt, Python and packages
    machine: dict[str, str | int]
    device: str = ""
    code: dict[str, str] = Field(default_factory=dict)  # version, SHA-256 and commit of nmt's source


class Passes(Section):
    """The size of micro-batches that was fitted to the memory."""

    identity: str  # digest of the training's identity
    ranks: int
    micro_batch_tokens: int | None


class Result(Section):
    """The result of a stage."""

    files: dict[str, str]  # SHA-256 by path in the stage's folder
    counts: JsonObject | None = None


class LockedScore(Section):
    """A score with sacreBLEU's signature."""

    score: float
    signature: Annotated[str, Field(min_length=1)]


class Lock(Section):
    """The content of `lock.json`."""

    format: int = 1
    recipe: JsonObject
    seed: int
    data: dict[str, dict[str, str]]  # SHA-256 of the input files by corpus
    hub_commits: dict[str, str] = Field(default_factory=dict)  # of the datasets of the Hub, by corpus
    sessions: Annotated[list[Session], Field(min_length=1)]
    init: JsonObject | None = None  # the model that the training starts from
    passes: Passes | None = None
    averaged: list[str] | None = None  # the checkpoints of another bundle than that of the run
    results: dict[str, Result] = Field(default_factory=dict)  # by stage, as soon as they are known
    scores: dict[str, dict[str, LockedScore]] = Field(default_factory=dict)  # by test set and metric


def results_of(lock: JsonObject) -> JsonObject:
    """Return the results and scores of a lock as it was read, which may be of any nmt, or damaged."""
    return {key: lock[key] if isinstance(lock.get(key), dict) else {} for key in ("results", "scores")}


def read_lock(path: Path) -> Lock:
    """Read a lock of any format up to FORMAT. Raises ArtifactError where it is missing, damaged or of another one."""
    values = read_record(path) or {}
    again = "`nmt run` writes it anew"
    if "imported" in values or "learned" in values:
        again = f"a model that {'was imported' if 'imported' in values else 'learned corrections'} has no run"
    number = values.get("format", 1)
    if type(number) is not int or not 1 <= number <= FORMAT:
        message = f"{path}: a lock of format {shown(number)}; this nmt {__version__} reads formats 1 to {FORMAT}"
        raise ArtifactError(message, hint="use the nmt that wrote it")
    if not isinstance(values.get("recipe"), dict):
        raise ArtifactError(f"{path}: {'missing' if is_missing(path) else 'not the lock of a run'}", hint=again)
    try:
        return Lock.model_validate(values)
    except ValidationError as error:
        raise ArtifactError(f"{path}: damaged: {first_error(error)}", hint=again) from None


def with_session(sessions: list[JsonObject], now: JsonObject, what: str) -> list[JsonObject]:
    """Return `sessions` of `what` with the present one, `now`, if its environment is another than the last one's.

    Warns where versions, code or machine have changed.
    """
    last = sessions[-1] if sessions else now
    # With the same source another commit changes nothing; an older nmt recorded neither code nor device.
    changes = [key for key in differing({key: last.get(key) for key in now}, now) if key != "code.commit"]
    known = [key for key in changes if key.partition(".")[0] in last]
    if known:
        changed = ", ".join(known)
        console.warn(f"{changed} changed since this {what} began: results from here on may differ in their last bits")
    if sessions and not changes:
        return sessions
    return [*sessions, {"began": datetime.now(UTC).isoformat(timespec="seconds"), **now}]


@dataclass(frozen=True)
class Locked:
    """The lock of another run, and the parts of it in which this run may not differ."""

    path: Path
    lock: Lock
    recipe: Recipe  # that of the lock
    refused: frozenset[str] = INPUTS
    strict: bool = False  # refuse a difference in any part

    @classmethod
    def read(cls, path: Path, *, refused: frozenset[str] = INPUTS, strict: bool = False) -> "Locked":
        """Read the lock at `path`. Raises ArtifactError, see `read_lock`."""
        return cls(path, read_lock(path), recorded_recipe(path), refused, strict)

    def check(self, recipe: Recipe, now: JsonObject) -> None:
        """Name all in which a run of `recipe` with the lock `now` differs, a line each.

        Raises RecipeError where one of the differences is refused.
        """
        if (count := len(self.lock.sessions)) > 1:
            console.warn(f"{self.path}: the run went on in {count} environments, of which the last one is compared")
        refused = []
        for found in input_differences((self.lock, self.recipe), (Lock.model_validate(now), recipe)):
            line = f"{found.key}: {shown(found.values[0])} in {self.path}, now {shown(found.values[1])}"
            if self.strict or (found.changes_results and found.part in self.refused):
                console.log(f"locked: {line}")
                refused.append(found.key)
            else:
                console.warn(line)
        if refused:
            message = f"{self.path}: other than in this lock: {', '.join(refused[:5])}"
            raise RecipeError(message, hint="nothing was run; run the recipe without the lock for other results")

    def compare(self, results: JsonObject) -> str:
        """Say which of `results`, by stage, are those of the lock, to the last bit."""
        same = same_bits(self.lock.results, {stage: Result.model_validate(result) for stage, result in results.items()})
        equal, other = ([stage for stage in same if same[stage] is wanted] for wanted in (True, False))
        return (
            f"results with the bits of {self.path}: {', '.join(equal) or 'none'}; other: {', '.join(other) or 'none'}"
        )


@dataclass(frozen=True)
class InputDifference:
    """A key in which locks differ."""

    part: str  # of the lock: recipe, data, init, code, versions or machine
    key: str  # with dots, the part in front
    values: tuple[Json, ...]  # one of each lock
    changes_results: bool
    """Whether it is a knob that changes results, or another input. Versions and machine change at most last bits."""


def input_differences(*locks: tuple[Lock, Recipe]) -> list[InputDifference]:
    """Return all in which locks, with their recipes, differ that results depend on; of their sessions the last one."""
    recipes = [recipe for _, recipe in locks]
    knobs = differences(*map(knobs_of, recipes), prefix="recipe.")
    of_locks = [_parts(lock, recipe) for lock, recipe in locks]
    corpora: JsonObject = {corpus: {} for parts in of_locks for corpus in parts["data"] if corpus != "order"}
    found = []
    for part in of_locks[0]:
        values = [{**corpora, **parts[part]} if part == "data" else parts[part] for parts in of_locks]
        for key, each in differences(*values, prefix=f"{part}.").items():
            found.append(InputDifference(part, key, each, part in INPUTS and (part != "recipe" or key in knobs)))
    return found


def same_bits(first: Mapping[str, Result], second: Mapping[str, Result]) -> dict[str, bool]:
    """Return, for the stages of which both have a result, whether its files are the same to the last bit."""
    return {stage: result.files == second[stage].files for stage, result in first.items() if stage in second}


def knobs_of(recipe: Recipe) -> JsonObject:
    """Return the knobs of `recipe` that change results."""
    return knobs_with(get_args(Effect), recipe)


def _parts(lock: Lock, recipe: Recipe) -> dict[str, JsonObject]:
    """Return what the results of a run depend on, by part of its lock; of its sessions the last one."""
    session, init = lock.sessions[-1], lock.init or {}
    return {
        "recipe": recipe.model_dump(),
        "data": {**lock.data, "order": list(recipe.data.training_corpora)},
        "init": {key: init.get(key) for key in ("weights", "tokenizer_files")},
        "code": {key: session.code.get(key) for key in ("nmt", "source")},
        "versions": session.versions,
        "machine": {**session.machine, "device": session.device},
    }
