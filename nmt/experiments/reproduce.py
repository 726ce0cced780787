"""Expected scores: a recipe or a lock is run, or a model of it scored, and one score compared within a tolerance."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from nmt import console
from nmt.config.decoding import ExpectedConfig
from nmt.errors import RecipeError, UsageError
from nmt.evaluation.metrics import MetricName, Scores
from nmt.files import read_json
from nmt.inference.bundle import open_bundle
from nmt.pipeline.evaluation import score_tests
from nmt.pipeline.lock import LockedScore
from nmt.pipeline.pipeline import run_stages
from nmt.pipeline.run import Run


def reproduce(run: Run, model: Path | None) -> Iterator[tuple[bool, str]]:
    """Run all stages, or score the bundle `model` alone; yield whether each expected score was reached, and a line.

    Nothing is yielded on ranks other than the first. Raises NmtError, and before any work RecipeError where no score
    is expected, and UsageError where `model` is of other languages.
    """
    expected = expected_scores(run)
    if model:
        bundle = open_bundle(model)
        bundle.check_translates()
        if (languages := bundle.config.languages) != run.recipe.languages:
            pair = languages.title
            raise UsageError(f"{model}: translates {pair}, unlike the recipe", hint="take a model of the recipe")
    run_stages(run, "text" if model else "evaluate")
    if not run.ranks.is_main:
        return
    scores = {test.name: test.scores for test in score_tests(run, model)} if model else read_json(run.folder.scores)
    for test, score in expected.items():
        yield judge(test, score, scores)


def expected_scores(run: Run) -> Mapping[str, ExpectedConfig]:
    """Return the expected scores of the recipe, or else those in its lock. Raises RecipeError where there are none."""
    if (objective := run.recipe.training.objective) != "translation":
        raise RecipeError(f'{run.loaded.path}: training.objective = "{objective}" has no scores to reproduce')
    locked = run.locked
    recorded = locked.lock.scores if locked else {}
    found = run.recipe.expected or {
        test: expected
        for test, metrics in recorded.items()
        if locked and (expected := _recorded(metrics, str(locked.path)))
    }
    if not found:
        hint = "add [expected.TEST] with bleu and signature, or take the lock.json of a finished run"
        raise RecipeError(f"{run.loaded.path}: states no expected scores", hint=hint)
    return found


def _recorded(metrics: Mapping[str, LockedScore], source: str) -> ExpectedConfig | None:
    """Return the recorded F1 of brackets, or else BLEU, as expected; not validated, as a BLEU may round to over 100."""
    if f1 := metrics.get("bracket-f1"):
        return ExpectedConfig.model_construct(bracket_f1=f1.score, signature=f1.signature, source=source)
    if bleu := metrics.get("bleu"):
        return ExpectedConfig.model_construct(bleu=bleu.score, signature=bleu.signature, source=source)
    return None


def judge(test: str, expected: ExpectedConfig, scores: Mapping[str, Scores]) -> tuple[bool, str]:
    """Compare the score of a test set with the expected one; of their signatures the version does not count."""
    origin = [] if expected.is_measured else ["published, no run was compared with it"]
    origin += [expected.source] if expected.source else []
    name: MetricName = "bleu" if expected.bleu is not None else "bracket-f1"
    score = expected.bleu if expected.bleu is not None else expected.bracket_f1
    assert score is not None
    wanted = f"expected {score:.2f} +- {expected.tolerance:g}" + (f" ({'; '.join(origin)})" if origin else "")
    if test not in scores:
        return False, f"{test}: not scored, {wanted}"
    if name not in scores[test]:
        return False, f"{test}: no {console.METRICS[name]} was computed, {wanted}"
    found = scores[test][name]
    line = f"{test}: {console.METRICS[name]} {found['score']:.2f}, {wanted}"
    if _without_version(found["signature"]) != _without_version(expected.signature):
        return False, f"{line}: not comparable, the signature is {found['signature']}, not {expected.signature}"
    return abs(found["score"] - score) <= expected.tolerance, line


def _without_version(signature: str) -> list[str]:
    return [part for part in signature.split("|") if not part.startswith("version:")]
