"""A stage: one step from raw text to scores, skipped where its manifest holds."""

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
class Stage:
    """A folder of the run, made from knobs of the recipe and other inputs."""

    name: str
    folder: Callable[[Run], Path]
    effects: frozenset[Effect]  # the knobs with one of these effects are inputs
    inputs: Callable[[Run], JsonObject]
    """Return the other inputs, digests of files for example; `RECIPE` among them replaces the knobs."""
    make: Callable[[Run, Manifest], None]  # make the folder with its manifest

    def run(self, run: Run, manifest: Manifest | None) -> None:
        """Make the folder, or keep the one that is there if there is nothing to make; see `due`."""
        if manifest is not None:
            self.make(run, manifest)
        else:
            remove(work_folder(self.folder(run)))

    def due(self, run: Run) -> Manifest | None:
        """Return the manifest of a folder to be made, or None where the one there holds; log which, and why."""
        knobs = knobs_with(self.effects, run.recipe)
        inputs = {"nmt": __version__, RECIPE: knobs, **self.inputs(run)}
        made = Manifest.read(self.folder(run))
        reason = ""
        if made is not None:
            changed = changed_inputs(made.inputs, inputs, self.effects)
            missing = [name for name in made.files if is_missing(self.folder(run) / name)]
            if not changed and not missing:
                console.log(f"{self.name}: skipped, its inputs have not changed")
                return None
            reason = f": {', '.join(changed[:5])} changed" if changed else f": {missing[0]} is missing"
        console.log(f"{self.name}: running{reason}")
        return Manifest(self.name, inputs)


def digests_of(folder: Path, *prefixes: str) -> dict[str, str]:
    """Return the digests of the files that a stage made in `folder`, of those whose names begin so if given.

    Raises ArtifactError where its manifest is missing or damaged.
    """
    return {name: value for name, value in Manifest.of(folder).files.items() if name.startswith(prefixes or "")}
