"""The stage `evaluate`: every test set translated with the bundle, and scored."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nmt import console
from nmt.config.decoding import EvaluationConfig
from nmt.data.cleaning.corpus_text import read_dev_sets, read_text
from nmt.data.encoding.tokenizer import SentencePieceModel
from nmt.errors import DataError
from nmt.evaluation.calibration import Reliability
from nmt.evaluation.metrics import METRICS, Scores, Statistics, with_brackets
from nmt.evaluation.scoring import count_systems, figures_of_brackets
from nmt.files import JsonObject, entries, write_json
from nmt.inference.bundle import CONFIG, WEIGHTS, add_scores, open_bundle
from nmt.inference.calibrating import Trust
from nmt.inference.confidence import FILE as CALIBRATION
from nmt.inference.translator import Translator
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of


class Scored(NamedTuple):
    """A test set that was translated and scored."""

    name: str
    hypotheses: list[str]
    scores: Scores
    brackets: dict[str, float] | None  # the figures of brackets, where the references are trees
    seconds: float  # of the translation, from text to text, with the model loaded
    reliability: Reliability | None = None  # of the confidence, where the run calibrates it


def inputs(run: Run) -> JsonObject:
    """Return the digests of the test sets, and of the bundle's weights and config, which holds all settings.

    A run that calibrates the confidence needs dev too.
    """
    bundle = digests_of(run.folder.bundle)
    dev = {"dev": digests_of(run.folder.text, "dev/")} if run.recipe.confidence.calibrate else {}
    return {"text": digests_of(run.folder.text, "test."), "weights": bundle[WEIGHTS], "config": bundle[CONFIG], **dev}


def make(run: Run, manifest: Manifest) -> None:
    """Translate and score every test set; the bundle gets the scores too.

    The times of the translations are no result: the manifest omits their file.
    """
    folder = run.folder
    config = open_bundle(folder.bundle).config
    scores: dict[str, Scores] = {}
    brackets: JsonObject = {}
    times: JsonObject = {}
    reliability: JsonObject = {}
    with making(folder.evaluation, manifest, changing=(folder.times.name,)) as scratch:
        if run.recipe.confidence.calibrate:
            calibrate(run)
        for test in score_tests(run, folder.bundle):
            scores[test.name] = test.scores
            brackets |= {test.name: test.brackets} if test.brackets else {}
            reliability |= {test.name: test.reliability} if test.reliability else {}
            times[test.name] = {"lines": len(test.hypotheses), "seconds": round(test.seconds, 3)}
            text = "".join(line + "\n" for line in test.hypotheses)
            target = run.recipe.languages_of(f"test.{test.name}").target
            (scratch / f"{test.name}.{target}").write_text(text, encoding="utf-8", newline="\n")
        write_json(scratch / folder.scores.name, scores)
        if brackets:
            write_json(scratch / folder.brackets.name, brackets)
        if reliability:
            write_json(scratch / folder.reliability.name, reliability)
            shutil.copyfile(folder.bundle / CALIBRATION, scratch / CALIBRATION)
        write_json(scratch / folder.times.name, times)
        add_scores(folder.bundle, config, scores)


def calibrate(run: Run) -> None:
    """Fit the confidence of the bundle to dev, each set in its direction; warn where dev is too short for it."""
    recipe, bundle = run.recipe, run.folder.bundle
    loaded = Translator.load(bundle, device=recipe.training.device, to=recipe.languages.target)
    found, references = list[Trust](), list[str]()
    for name, pairs in read_dev_sets(run.folder.text).items():
        languages = recipe.languages_of(name)
        translator = loaded.with_direction(languages.target, languages.source)
        found.append(Trust.of(bundle, translator, [source for source, _ in pairs], is_fitted=True))
        references += [target for _, target in pairs]
    translations = [text for trust in found for text in trust.translations]
    features = [row for trust in found for row in trust.features]
    try:
        replace(found[0], translations=translations, features=features).settle([references], recipe.evaluation)
    except DataError as error:
        console.warn(f"the bundle gets no confidence: dev has {error}")


def score_tests(run: Run, bundle: Path) -> Iterator[Scored]:
    """Translate each test set of `run` with a bundle, and score it."""
    recipe = run.recipe
    loaded = Translator.load(bundle, device=recipe.training.device, to=recipe.languages.target)
    is_calibrated = recipe.confidence.calibrate and loaded.calibration is not None
    for test in names_of_tests(run):
        languages = recipe.languages_of(f"test.{test}")
        translator = loaded.with_direction(languages.target, languages.source)
        sources, references = read_text(run.folder.text, f"test.{test}")
        began = time.perf_counter()
        trust = Trust.of(bundle, translator, sources, is_fitted=False) if is_calibrated else None
        hypotheses = trust.translations if trust else translator.translate_all(sources)
        seconds = time.perf_counter() - began
        for flaw in out_of_reach(translator.tokenizer.target, references):
            console.warn(f"{test}: {flaw}")
        counted = count_test(test, hypotheses, references, recipe.evaluation, languages.target)
        scores = {name: statistics.score() for name, statistics in counted.items()}
        reliability = trust.settle([references], recipe.evaluation) if trust else None
        yield Scored(test, hypotheses, scores, figures_of_brackets(counted), seconds, reliability)


def count_test(
    test: str, hypotheses: Sequence[str], references: Sequence[str], config: EvaluationConfig, target: str
) -> Statistics:
    """Count what metrics need of a test set in the language `target`; warn of flaws, with the name of the set.

    The metrics are BLEU, chrF and TER; of trees F1 of brackets, BLEU and chrF.
    """
    counted, said = count_systems(
        {test: hypotheses},
        [references],
        target,
        tokenize=config.tokenize,
        lowercase=config.lowercase,
        chrf_word_order=config.chrf_word_order,
        metrics=with_brackets(METRICS, [references]),
    )
    for flaw in said:
        console.warn(f"{test}: {flaw}")
    return counted[test]


def out_of_reach(tokenizer: SentencePieceModel, references: Sequence[str]) -> list[str]:
    """Return a remark on `references` with text that the tokenizer's normalisation changes, if there are any."""
    changed = sum(map(tokenizer.changes, references))
    return [f"references that no translation can equal, for normalisation changes them: {changed:,}"] if changed else []


def names_of_tests(run: Run) -> list[str]:
    """Return the names of the test sets, given or split off, in the recipe's order."""
    folders = [path.name for path in entries(run.folder.text, "test.*")]
    names = [name.removeprefix("test.") for name in folders]
    return sorted(names, key=[*run.recipe.data.test, *names].index)


STAGE = Stage(
    "evaluate",
    lambda run: run.folder.evaluation,
    frozenset(),
    inputs,
    make,
    is_wanted=lambda run: run.recipe.training.objective == "translation",
)
