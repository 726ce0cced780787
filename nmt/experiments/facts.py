"""Everything that the report of a run says, as one JSON object; the page and its pictures are made from it alone."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from nmt.config.toml import resolved_toml
from nmt.data.cleaning.corpus_text import iterate_text
from nmt.data.cleaning.funnel import IdsCounts, TextCounts, steps_of
from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import NmtError
from nmt.evaluation import significance
from nmt.evaluation.analysis import Texts, analyze, count_words
from nmt.evaluation.line_scores import LineScores, ScoresBeside
from nmt.evaluation.metrics import MetricName, Statistics, tokenizer_for, with_brackets
from nmt.evaluation.scoring import SPACED, count_systems
from nmt.experiments.attention import attention_of
from nmt.experiments.curves import CURVES, points_of, points_of_sets
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.sentences import extremes, line_scores
from nmt.files import JsonObject, read_record
from nmt.pipeline.manifest import MANIFEST

BINS = 30  # of a histogram
COUNTED = 200_000  # training pairs whose words are counted
MEASURED = ("train", "dev", "stage", "guard")  # events of the log that curves and tables show
CLOSE = 1e-6  # scores that are equal


def facts_of(run: FinishedRun, beside: ScoresBeside | None = None) -> JsonObject:
    """Return the facts of a run, with scores `beside` those of the run, by test set.

    What is missing in its folder is left out, and named in `missing`.
    """
    lock, missing = run.lock, list[str]()
    funnel, lengths = funnel_of(run, missing), lengths_of(run, missing)
    counted = {test: found for test in run.tests if (found := counts_of(run, test, missing))}
    words = training_words(run) if counted and funnel else None
    if not run.log:
        missing.append(f"{run.folder.log.name} has no curves")
    return {
        "name": run.name,
        "recipe_name": run.recipe.name,
        "description": run.recipe.description,
        "source": run.recipe.languages.source,
        "target": run.recipe.languages.target,
        "sessions": [session.model_dump() for session in lock.sessions],
        "seed": lock.seed,
        "data": lock.data,
        "hub_commits": lock.hub_commits,
        "init": lock.init,
        "results": {stage: result.files for stage, result in lock.results.items()},
        "recipe": lock.recipe,
        "recipe_toml": resolved_toml(run.recipe),
        "synthetic": synthetic_of(run),
        "funnel": funnel,
        "lengths": lengths,
        "training": training_of(run),
        "curves": curves_of(run),
        "dev_sets": {
            name: {key: points.to_json() for key, points in curves.items()}
            for name, curves in points_of_sets(run).items()
        },
        "tests": {
            test: test_facts(run, test, counted.get(test), (beside or {}).get(test, {}), words, missing)
            for test in run.tests
        },
        "attention": attention_facts(run, counted, missing),
        "missing": missing,
    }


def curves_of(run: FinishedRun) -> dict[str, JsonObject]:
    """Return the curves of a run that have points, by steps."""
    return {name: points.to_json() for name in CURVES if (points := points_of(run, name)).x}


def training_of(run: FinishedRun) -> JsonObject:
    """Return the length of the training, its best validation, and the events that were no updates."""
    trained = read_record(run.folder.checkpoints / MANIFEST, counts=dict) or {"counts": {}}
    counts = trained["counts"]
    train = [event for event in run.log if event.get("kind") == "train"]
    taken: JsonObject = {
        key: sum(event[key] for event in train) if train and all(key in event for event in train) else None
        for key in ("tokens", "seconds")  # which an older nmt did not log
    }
    return {
        "steps": counts.get("steps") or (train[-1]["step"] if train else None),
        "best_step": counts.get("best_step"),
        "best": counts.get("best"),
        "best_metric": run.recipe.training.best_metric,
        "objective": run.recipe.training.objective,
        "stages": counts.get("stages", []),
        "guard": counts.get("guard"),
        **taken,
        "events": [event for event in run.log if "kind" in event and event["kind"] not in MEASURED],
    }


def synthetic_of(run: FinishedRun) -> JsonObject:
    """Return the lines that models translated for each corpus, and the pairs that this made."""
    made = run.results.get("synthetic")
    counts: JsonObject = ((made and made.counts) or {}).get("corpora") or {}
    return {corpus: {"lines": each["lines"], "pairs": each["pairs"]} for corpus, each in counts.items()}


def funnel_of(run: FinishedRun, missing: list[str]) -> JsonObject | None:
    """Return the steps of the training pairs through the filters, and the pairs of each split."""
    records = [read_record(folder / MANIFEST, counts=dict) for folder in (run.folder.text, run.folder.ids)]
    text, ids = (record and record["counts"] for record in records)
    try:
        counts = TextCounts.from_json(text or {})
        encoded = IdsCounts.from_json(ids) if ids else None
    except (KeyError, TypeError):
        missing.append("the prepared text has no counts of its filters")
        return None
    return {
        "steps": [
            {"name": step.name, "pairs": step.pairs, "corpora": step.corpora} for step in steps_of(counts, encoded)
        ],
        "corpora": list(counts.train),
        "normalised": counts.funnel.mended,
        "dev": counts.dev,
        "test": counts.test,
        "split_off": counts.split_off,
    }


def lengths_of(run: FinishedRun, missing: list[str]) -> JsonObject | None:
    """Return histograms of the lengths of both sides of the training pairs, in pieces, without EOS."""
    try:
        pairs = PreparedPairs(run.folder.ids / "train")
        sides = {"source": pairs.src_lengths, "target": pairs.tgt_lengths}
        if not len(pairs):
            raise OSError
    except (NmtError, OSError):
        missing.append("there are no prepared ids, whose lengths could be counted")
        return None
    lengths = {side: np.bincount(values)[1:] for side, values in sides.items()}  # by pieces from 0 on, EOS not counted
    longest = max(map(len, lengths.values())) - 1
    usual = max(int(np.searchsorted(np.cumsum(counts), 0.995 * counts.sum())) for counts in lengths.values())
    width = -(-(usual + 1) // BINS)
    bins = -(-(usual + 1) // width)
    return {
        "bin": width,  # pieces; bin N begins at N times that, and the last holds all longer pairs
        "longest": longest,
        **{side: histogram(counts, width, bins) for side, counts in lengths.items()},
    }


def histogram(counts: np.ndarray[tuple[int], np.dtype[np.int64]], width: int, bins: int) -> JsonObject:
    """Return pairs by bins of `width` lengths, the last of all longer ones, and the mean length."""
    lengths = np.arange(len(counts))
    pairs = np.bincount(np.minimum(lengths // width, bins - 1), weights=counts, minlength=bins)
    return {"pairs": pairs.astype(int).tolist(), "mean": float((lengths * counts).sum() / counts.sum())}


def counts_of(run: FinishedRun, test: str, missing: list[str], metrics: Sequence[MetricName] = ()) -> Statistics | None:
    """Count what metrics need in each line of a test set; None where its lines are gone.

    Without `metrics` these are BLEU and chrF, and before them those of brackets where the references are trees.
    """
    config, target = run.recipe.evaluation, run.languages_of(test).target
    try:
        lines = run.lines(test)
    except NmtError as error:
        missing.append(str(error))
        return None
    counted, _ = count_systems(
        {test: lines.hypotheses},
        [lines.references],
        target,
        tokenize=config.tokenize,
        lowercase=config.lowercase,
        chrf_word_order=config.chrf_word_order,
        metrics=metrics or with_brackets(significance.TESTED, [lines.references]),
    )
    return counted[test]


def training_words(run: FinishedRun) -> Mapping[str, int] | None:
    """Count the words of the first training sources; None where the text is gone."""
    try:
        return count_words(source for source, _ in islice(iterate_text(run.folder.text, "train"), COUNTED))
    except (NmtError, OSError):
        return None


def attention_facts(run: FinishedRun, counted: Mapping[str, Statistics], missing: list[str]) -> list[JsonObject]:
    """Return the attention over lines of the first test set that has lines; none where the bundle is gone."""
    try:
        return next((attention_of(run, test, line_scores(each["chrf"]).tolist()) for test, each in counted.items()), [])
    except (NmtError, OSError) as error:
        missing.append(f"attention: {error}")
        return []


def test_facts(
    run: FinishedRun,
    test: str,
    counted: Statistics | None,
    beside: Mapping[str, LineScores],
    words: Mapping[str, int] | None,
    missing: list[str],
) -> JsonObject:
    """Return the scores of a test set, its analysis, its best and worst lines, and how reliable the confidence is.

    The scores are those recorded and those `beside`, and `words` are those of the training sources.
    """
    scores: JsonObject = {
        metric: {**score.model_dump(), "interval": None} for metric, score in run.scores[test].items()
    }
    if counted is None:
        return {"scores": scores, "lines": None, "analysis": None, "extremes": None, "reliability": None}
    tested = {metric: counted[metric] for metric in counted if metric in scores} | dict(beside)
    for metric, found in significance.compare({test: tested}, tested)[test].items():
        if metric in beside:
            scores[metric] = found
        elif abs(found["score"] - scores[metric]["score"]) > CLOSE:
            missing.append(f"{test}: the lines give another {metric} than recorded, and no interval is shown")
        else:
            scores[metric]["interval"] = found.get("interval")
    lines, languages = run.lines(test), run.languages_of(test)
    reliability = read_record(run.folder.reliability) or {}
    texts = Texts(lines.sources, lines.hypotheses, [lines.references], (languages.source, languages.target))
    return {
        "scores": scores,
        "lines": len(lines.sources),
        "analysis": analyze(texts, counted, words),
        "extremes": extremes(lines, counted, spaced=tokenizer_for(languages.target) in SPACED),
        "reliability": reliability.get(test),
    }
