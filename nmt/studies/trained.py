"""Models that a study trains and tests by the ordinary pipeline: a run with its lock, checkpoints and bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nmt.config.toml import LoadedRecipe, check
from nmt.data.cleaning.corpus_text import read_text
from nmt.files import JsonObject
from nmt.pipeline.evaluation import names_of_tests
from nmt.pipeline.pipeline import run_stages
from nmt.pipeline.run import Run


@dataclass(frozen=True)
class Translated:
    """A test set as a model translated it."""

    hypotheses: list[str]
    references: list[str]

    @property
    def exact(self) -> float:
        """Percentage of the lines whose translation equals the reference."""
        pairs = zip(self.hypotheses, self.references, strict=True)
        return 100 * sum(one == other for one, other in pairs) / len(self.references)


def train_and_test(recipe: JsonObject, folder: Path) -> Mapping[str, Translated]:
    """Run all stages of `recipe` in `folder`, or those that are not done; return its test sets by name.

    Called again after it was killed, it continues from the last checkpoint. Raises NmtError.
    """
    loaded = LoadedRecipe(check(recipe, str(folder)), folder / "recipe.toml", "")
    run = Run(loaded, run_dir=folder, workers=1)
    run_stages(run)
    target = run.recipe.languages.target
    return {test: read_test(run, test, target) for test in names_of_tests(run)}


def read_test(run: Run, test: str, target: str) -> Translated:
    """Return a test set of a run whose stages are done."""
    _, references = read_text(run.folder.text, f"test.{test}")
    text = (run.folder.evaluation / f"{test}.{target}").read_text(encoding="utf-8")
    return Translated(text.split("\n")[:-1], references)
