"""The stage `evaluate`: every test set translated with the bundle, and scored."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from nmt import console
from nmt.config.decoding import EvaluationConfig
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.tokenizer import SentencePieceModel
from nmt.evaluation.metrics import Scores, score
from nmt.evaluation.scoring import choose_tokenizer, flaws_of
from nmt.files import JsonObject, entries, write_json
from nmt.inference.bundle import CONFIG, WEIGHTS, add_scores, open_bundle
from nmt.inference.translator import Translator
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of


def inputs(run: Run) -> JsonObject:
    """Return the digests of the test sets, and of the bundle's weights and config, which holds all settings."""
    bundle = digests_of(run.folder.bundle)
    return {"text": digests_of(run.folder.text, "test."), "weights": bundle[WEIGHTS], "config": bundle[CONFIG]}


def make(run: Run, manifest: Manifest) -> None:
    """Translate and score every test set; the bundle gets the scores too."""
    folder, target = run.folder, run.recipe.languages.target
    config = open_bundle(folder.bundle).config
    scores: dict[str, Scores] = {}
    with making(folder.evaluation, manifest) as scratch:
        for test, hypotheses, found in score_tests(run, folder.bundle):
            scores[test] = found
            text = "".join(line + "\n" for line in hypotheses)
            (scratch / f"{test}.{target}").write_text(text, encoding="utf-8", newline="\n")
        write_json(scratch / "scores.json", scores)
        add_scores(folder.bundle, config, scores)


def score_tests(run: Run, bundle: Path) -> Iterator[tuple[str, list[str], Scores]]:
    """Yield name, translations and scores of each test set of `run`, translated with a bundle."""
    recipe = run.recipe
    translator = Translator.load(bundle, device=recipe.training.device)
    for test in names_of_tests(run):
        sources, references = read_text(run.folder.text, f"test.{test}")
        hypotheses = translator.translate_all(sources)
        for flaw in out_of_reach(translator.tokenizer.target, references):
            console.warn(f"{test}: {flaw}")
        yield test, hypotheses, score_test(test, hypotheses, references, recipe.evaluation, recipe.languages.target)


def score_test(
    test: str, hypotheses: Sequence[str], references: Sequence[str], config: EvaluationConfig, target: str
) -> Scores:
    """Score the translations of a test set into the language `target`; warn of flaws, with the name of the set."""
    tokenize, said = choose_tokenizer(config.tokenize, target, [references])
    for flaw in [*said, *flaws_of(hypotheses)]:
        console.warn(f"{test}: {flaw}")
    case, order = config.lowercase, config.chrf_word_order
    return score(hypotheses, [references], tokenize=tokenize, lowercase=case, chrf_word_order=order)


def out_of_reach(tokenizer: SentencePieceModel, references: Sequence[str]) -> list[str]:
    """Return a remark on `references` with text that the tokenizer's normalisation changes, if there are any."""
    changed = sum(map(tokenizer.changes, references))
    return [f"references that no translation can equal, for normalisation changes them: {changed:,}"] if changed else []


def names_of_tests(run: Run) -> list[str]:
    """Return the names of the test sets, given or split off, in the recipe's order."""
    folders = [path.name for path in entries(run.folder.text, "test.*")]
    names = [name.removeprefix("test.") for name in folders]
    return sorted(names, key=[*run.recipe.data.test, *names].index)


STAGE = Stage("evaluate", lambda run: run.folder.evaluation, frozenset(), inputs, make)
