"""A stage: one step from raw text to scores, skipped where its manifest holds, and shared by a cache."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nmt import console
from nmt.config.compatibility import RECIPE, changed_inputs, knobs_with
from nmt.config.section import Effect
from nmt.files import JsonObject, is_missing, remove
from nmt.pipeline.manifest import Manifest, work_folder
from nmt.pipeline.run import Run
from nmt.version import __version__


@dataclass(frozen=True)
class Due:
    """A folder that is to be made."""

    manifest: Manifest
    reason: str  # why the folder that is there does not hold; empty where there is none

    @property
    def because(self) -> str:
        return f": {self.reason}" if self.reason else ""


@dataclass(frozen=True)
class Stage:
    """A folder of the run, made from knobs of the recipe and other inputs."""

    name: str
    folder: Callable[[Run], Path]
    effects: frozenset[Effect]  # the knobs with one of these effects are inputs
    inputs: Callable[[Run], JsonObject]
    """Return the other inputs, digests of files for example; `RECIPE` among them replaces the knobs."""
    make: Callable[[Run, Manifest], None]  # make the folder with its manifest
    say: Callable[[Run, Manifest], None] = lambda _run, _manifest: None  # log the counts of what was made
    origin: Callable[[Run], JsonObject | None] = lambda _: None
    """Return what the files depend on beside the inputs; None where that is not known, or the stage is not cached."""
    is_wanted: Callable[[Run], bool] = lambda _: True  # whether the recipe asks for the stage

    def run(self, run: Run, due: Due | None) -> None:
        """Take the folder from the cache, or make it, or keep the one that is there where the stage is not `due`."""
        folder = self.folder(run)
        if due is None:
            remove(work_folder(folder))
            return
        entry = self.entry(run, due)
        warnings = run.cache.take(entry, folder) if run.cache and entry else None
        if warnings is not None:
            console.log(f"{self.name}: from the cache ({entry})")
            for warning in warnings:
                console.warn(warning)
            remove(work_folder(folder))
        else:
            console.log(f"{self.name}: running{due.because}")
            with console.recording() as warnings:
                self.make(run, due.manifest)
            if run.cache and entry:
                run.cache.store(entry, folder, run.recipe.name, warnings)
        self.say(run, Manifest.of(folder))

    def entry(self, run: Run, due: Due) -> Path | None:
        """Return the path of the folder in the cache, whether it is there or not; None where it is not cached."""
        if run.cache is None or (origin := self.origin(run)) is None:
            return None
        return run.cache.path_of(due.manifest, origin)

    def due(self, run: Run) -> Due | None:
        """Return what is to be made, and why; None where the folder that is there holds.

        Raises ArtifactError where a folder that it is made from is missing or damaged.
        """
        knobs = knobs_with(self.effects, run.recipe)
        inputs = {"nmt": __version__, RECIPE: knobs, **self.inputs(run)}
        made = Manifest.read(self.folder(run))
        reason = ""
        if made is not None:
            changed = changed_inputs(made.inputs, inputs, self.effects)
            missing = [name for name in made.files if is_missing(self.folder(run) / name)]
            if not changed and not missing:
                return None
            reason = f"{', '.join(changed[:5])} changed" if changed else f"{missing[0]} is missing"
        return Due(Manifest(self.name, inputs), reason)


def digests_of(folder: Path, *prefixes: str) -> dict[str, str]:
    """Return the digests of the files that a stage made in `folder`, of those whose names begin so if given.

    Raises ArtifactError where its manifest is missing or damaged.
    """
    return {name: value for name, value in Manifest.of(folder).files.items() if name.startswith(prefixes or "")}
