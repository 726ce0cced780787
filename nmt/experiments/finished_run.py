"""A run that has ended, as it is read again: its lock, log, scores and translations."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nmt.config.languages import LanguagesConfig
from nmt.config.recipe import Recipe
from nmt.config.section import first_error
from nmt.data.cleaning.corpus_text import read_text
from nmt.errors import ArtifactError
from nmt.files import JsonObject, is_missing, naming, read_record
from nmt.inference.bundle import LOCK, WEIGHTS
from nmt.pipeline.lock import Lock, LockedScore, Result, read_lock
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.recipe_file import recorded_recipe
from nmt.run_folder import RunFolder

AGAIN = "`nmt run` with this run folder makes what is missing"
MAKE_ANEW = "delete the folder evaluation of the run, and run again"
SCORES = TypeAdapter(dict[str, dict[str, LockedScore]])


@dataclass(frozen=True)
class TestLines:
    """The lines of a test set: as many of each kind, raw text."""

    sources: list[str]
    references: list[str]
    hypotheses: list[str]


@dataclass(frozen=True)
class FinishedRun:
    """A run folder with scores, unless its objective has none, and its name beside other runs."""

    folder: RunFolder
    lock: Lock
    recipe: Recipe
    scores: dict[str, dict[str, LockedScore]]  # by test set, in the recipe's order, and metric

    @classmethod
    def open(cls, path: Path) -> "FinishedRun":
        """Open the run folder `path`, which may be that of an older nmt.

        Raises ArtifactError where it is none, where it has no scores yet, or where its lock or scores are damaged.
        """
        folder = RunFolder(path)
        folder.check()
        if not is_missing(path / WEIGHTS):
            raise ArtifactError(f"{path}: a bundle, not a run folder", hint="name the run folder that it is from")
        lock, recipe = read_lock(folder.lock), recorded_recipe(folder.lock)
        if recipe.training.objective != "translation":
            if is_missing(folder.bundle / WEIGHTS):
                raise ArtifactError(f"{path}: a run without a bundle", hint=AGAIN)
            return cls(folder, lock, recipe, {})
        if is_missing(folder.scores):
            raise ArtifactError(f"{path}: a run without scores", hint=AGAIN)
        values = read_record(folder.scores)
        if not values:
            raise ArtifactError(f"{folder.scores}: damaged: no scores of a test set", hint=MAKE_ANEW)
        try:
            scores = SCORES.validate_python(values)
        except ValidationError as error:
            raise ArtifactError(f"{folder.scores}: damaged: {first_error(error)}", hint=MAKE_ANEW) from None
        order = [*recipe.data.test, *scores]
        return cls(folder, lock, recipe, {name: scores[name] for name in sorted(scores, key=order.index)})

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.folder.path.resolve().name

    @property
    def tests(self) -> list[str]:
        """The names of the test sets, in the recipe's order."""
        return list(self.scores)

    @cached_property
    def results(self) -> dict[str, Result]:
        """The results by stage: those of the lock, or else those of the manifests, as locks of format 1 have none."""
        made = {stage: Manifest.read(folder) for stage, folder in self.folder.stages.items()}
        # Of a bundle that an older nmt made, the manifest lists the lock, which holds times.
        return self.lock.results or {
            stage: Result(
                files={name: sha for name, sha in manifest.files.items() if name != LOCK}, counts=manifest.counts
            )
            for stage, manifest in made.items()
            if manifest is not None
        }

    def languages_of(self, test: str) -> LanguagesConfig:
        """Return the languages of a test set."""
        return self.recipe.languages_of(f"test.{test}")

    def lines(self, test: str) -> TestLines:
        """Read a test set and its translations. Raises ArtifactError where files are missing or damaged."""
        path = self.folder.evaluation / f"{test}.{self.languages_of(test).target}"
        if is_missing(path) or is_missing(self.folder.text / f"test.{test}"):
            missing = path if is_missing(path) else self.folder.text / f"test.{test}"
            raise ArtifactError(f"{missing}: missing, though the run has scores of {test}", hint=AGAIN)
        sources, references = read_text(self.folder.text, f"test.{test}")
        with naming(path):
            written = path.read_bytes()
        try:
            hypotheses = written.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            number = written.count(b"\n", 0, error.start) + 1
            raise ArtifactError(f"{path}, line {number}: not UTF-8", hint=MAKE_ANEW) from None
        if len(hypotheses) != len(sources):
            count = f"{len(hypotheses):,} line{'s' * (len(hypotheses) != 1)}"
            raise ArtifactError(f"{path}: {count}, but {test} has {len(sources):,}", hint=MAKE_ANEW)
        return TestLines(sources, references, hypotheses)

    @cached_property
    def log(self) -> list[JsonObject]:
        """The events of the training in order, by `kind`: none where the log is missing; NaN is read as None."""
        with naming(self.folder.log):
            text = "" if is_missing(self.folder.log) else self.folder.log.read_text(encoding="utf-8", errors="replace")
        events = []
        for line in text.split("\n"):
            try:
                event = json.loads(line, parse_constant=lambda _: None)
            except ValueError:
                continue  # a line that a killed run had not finished
            if isinstance(event, dict) and isinstance(event.get("step"), int):
                events.append(event)
        return events
