"""The scores of finished runs compared: over the lines of the test sets, and over the seeds of each setting."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import mean, stdev

import numpy as np

from nmt import console
from nmt.config.recipe import Recipe
from nmt.errors import UsageError
from nmt.evaluation import significance
from nmt.evaluation.line_scores import ScoresBeside
from nmt.evaluation.metrics import (
    ALL_METRICS,
    BRACKETS,
    MetricName,
    MetricStatistics,
    Statistics,
    tokenizer_for,
    with_brackets,
)
from nmt.evaluation.scoring import SPACED, count_systems
from nmt.evaluation.significance import TESTED, Counted, RunsTest, TestedScore, permutation_test
from nmt.experiments.compare import Compared
from nmt.experiments.finished_run import FinishedRun, TestLines
from nmt.experiments.sentences import Part, differing_parts, line_scores
from nmt.pipeline.lock import knobs_of

Systems = dict[str, dict[str, TestedScore]]  # by run and metric


@dataclass(frozen=True)
class Line:
    """A line of a test set, and what each run made of it, by the run's name."""

    number: int  # from 1
    source: str
    reference: str
    hypotheses: dict[str, str]
    parts: dict[str, list[Part]]  # of each: in common with the baseline's, whose own are those of the first other one
    chrf: dict[str, float]  # of the sentence


@dataclass(frozen=True)
class DifferingLines:
    """The lines of a test set on which runs differ most, by chrF of this signature."""

    signature: str
    lines: list[Line]


@dataclass(frozen=True)
class SettingScores:
    """A metric over the runs of a setting, and its difference from the first setting."""

    mean: float
    std: float | None  # of the sample; None for one run
    low: float
    high: float
    signature: str
    difference: float | None = None  # of the means; None for the first setting
    test: RunsTest | None = None  # None for the first setting, and where both have one run alone


@dataclass(frozen=True)
class Setting:
    """Runs of one recipe but for the seed and what changes no result, of the same data and initial model."""

    runs: list[str]  # one of each seed
    seeds: list[int]  # of these
    repeats: dict[str, str]  # of a seed that is there already: to the run that counts
    scores: dict[str, dict[str, SettingScores]]  # by test set


@dataclass(frozen=True)
class ComparedScores:
    """Scores by test set and run, those of settings, and the lines that differ most by test set."""

    tests: dict[str, Systems]
    settings: list[Setting]
    lines: dict[str, DifferingLines]
    said: list[str]


def compare_scores(
    runs: Sequence[Compared],
    tests: Sequence[str],
    *,
    metrics: Collection[str] = (),
    beside: ScoresBeside | None = None,
    is_tested: bool = True,
    lines: int = 0,
) -> ComparedScores:
    """Compare the scores of runs, the first being the baseline, on `tests` that all have, see `shared_tests`.

    `metrics` are BLEU and chrF if none is given, and of trees F1 of brackets; `beside` has scores of the lines by run
    and metric, of one test set. Locks alone are compared by their recorded scores, without tests. Returns as many
    `lines` of each test set, those on which sentences differ most by chrF.

    Raises UsageError where runs have other text of a test set.
    """
    chosen = [name for name in ALL_METRICS if name in (metrics or (*BRACKETS, *TESTED))]
    seed = significance.read_seed() if is_tested else None
    finished = [run.run for run in runs if run.run]
    scores, shown, said = dict[str, Systems](), dict[str, DifferingLines](), list[str]()
    if others := dict.fromkeys(test for run in runs for test in run.scores if test not in tests):
        said.append(f"test sets that are left out: {', '.join(others)}")
    for test in tests:
        target = runs[0].recipe.languages_of(f"test.{test}").target
        if len(finished) < len(runs):
            _refuse_other_digests(runs, test)
            recorded = [name for name in chosen if metrics or any(name in run.scores[test] for run in runs)]
            scores[test], remarks = recorded_scores(runs, test, recorded)
        else:
            texts = _texts(runs, finished, test)
            usual = chosen if metrics else with_brackets(TESTED, [texts[runs[0].name].references])
            counted, remarks = _count(runs[0].recipe, target, texts, usual if not lines else {*usual, "chrf"})
            wanted = {
                name: {metric: each[metric] for metric in usual} | dict[str, Counted]((beside or {}).get(name, {}))
                for name, each in counted.items()
            }
            scores[test] = significance.compare(wanted, next(iter(wanted.values())) if is_tested else [], seed)
            remarks += _other_than_recorded(runs, test, scores[test])
            if lines:
                chrf = {name: each["chrf"] for name, each in counted.items()}
                farthest = _farthest(texts, chrf, lines, spaced=tokenizer_for(target) in SPACED)
                shown[test] = DifferingLines(chrf[runs[0].name].signature(), farthest)
        said += [f"{test}: {remark}" for remark in remarks]
    settings = settings_of(runs, scores)
    return ComparedScores(scores, settings, shown, said)


def shared_tests(runs: Sequence[Compared], wanted: str | None = None) -> list[str]:
    """Return the test sets that all runs were scored on, or the one that is wanted.

    Raises UsageError without any, unless no run has scores, as those of other objectives than translation.
    """
    base, *others = runs
    if wanted is None and not any(run.scores for run in runs):
        return []
    shared = [test for test in base.scores if all(test in run.scores for run in others)]
    if not shared:
        other = next((run for run in others if not base.scores.keys() & run.scores.keys()), others[-1])
        message = f"runs on different tests: {base.name} has {', '.join(base.scores) or 'none'}, {other.name} "
        raise UsageError(message + (", ".join(other.scores) or "none"), hint="compare runs that share a test set")
    if wanted is not None and wanted not in shared:
        raise UsageError(f"--test {wanted}: not all runs were scored on it", hint=f"all were on {', '.join(shared)}")
    return [wanted] if wanted is not None else shared


def _texts(runs: Sequence[Compared], finished: Sequence[FinishedRun], test: str) -> dict[str, TestLines]:
    """Read the lines of a test set. Raises UsageError where a run has another source or reference."""
    texts = {each.name: run.lines(test) for each, run in zip(runs, finished, strict=True)}
    base, *others = texts
    for name in others:
        for side in ("sources", "references"):
            pairs = zip_longest(getattr(texts[base], side), getattr(texts[name], side))
            line = next((number for number, (one, other) in enumerate(pairs, 1) if one != other), None)
            if line is not None:
                raise _other_text(test, f"the {side} of {name} differ from {base}'s from line {line:,} on")
    return texts


def _refuse_other_digests(runs: Sequence[Compared], test: str) -> None:
    """Raise UsageError where the locks have other digests of the text of a test set."""
    base, *others = (
        {file: digest for file, digest in run.results["text"].files.items() if file.startswith(f"test.{test}/")}
        if "text" in run.results
        else {}
        for run in runs
    )
    for run, files in zip(runs[1:], others, strict=True):
        if base and files and base != files:
            raise _other_text(test, f"{run.name} has other lines than {runs[0].name}, by SHA-256")


def _other_text(test: str, message: str) -> UsageError:
    hint = "scores on other text do not compare; `nmt data inspect` describes both"
    return UsageError(f"runs on different tests: of {test}, {message}", hint=hint)


def _count(
    recipe: Recipe, target: str, texts: Mapping[str, TestLines], metrics: Collection[MetricName]
) -> tuple[dict[str, Statistics], list[str]]:
    """Count what the metrics need in the lines of each run, with the settings of the baseline's `recipe`."""
    return count_systems(
        {name: lines.hypotheses for name, lines in texts.items()},
        [next(iter(texts.values())).references],
        target,
        tokenize=recipe.evaluation.tokenize,
        lowercase=recipe.evaluation.lowercase,
        chrf_word_order=recipe.evaluation.chrf_word_order,
        metrics=[name for name in ALL_METRICS if name in metrics],
    )


def _other_than_recorded(runs: Sequence[Compared], test: str, scores: Systems) -> list[str]:
    """Say which scores are recorded with another value or signature than was computed now."""
    said = []
    for run in runs:
        for name, score in scores[run.name].items():
            recorded = run.scores[test].get(name)
            if recorded and (recorded.score, recorded.signature) != (score["score"], score["signature"]):
                said.append(
                    f"{run.name}: {console.METRICS[name]} is {score['score']:.4f} with {score['signature']}, "
                    f"but was recorded as {recorded.score:.4f} with {recorded.signature}"
                )
    return said


def recorded_scores(runs: Sequence[Compared], test: str, metrics: Sequence[MetricName]) -> tuple[Systems, list[str]]:
    """Return the recorded scores of a test set, of the metrics that all runs have with one signature.

    Raises UsageError where there is none.
    """
    found: Systems = {run.name: {} for run in runs}
    said = []
    for name in metrics:
        scores = {run.name: score for run in runs if (score := run.scores[test].get(name))}
        signatures = {score.signature for score in scores.values()}
        if len(scores) < len(runs) or len(signatures) > 1:
            said.append(f"{console.METRICS[name]} is left out: not all runs recorded it with one signature")
            continue
        for run, score in scores.items():
            found[run][name] = TestedScore(score=score.score, signature=score.signature)
    if not found[runs[0].name]:
        raise UsageError(f"of {test}, no metric was recorded by all runs with one signature", hint="name run folders")
    return found, said


def settings_of(runs: Sequence[Compared], tests: Mapping[str, Systems]) -> list[Setting]:
    """Group runs by their recipe without the seed, and their data; compare each setting with the first one.

    Of runs of one setting and seed, which repeat each other, the first one counts.
    """
    groups: dict[str, dict[int, list[Compared]]] = {}
    for run in runs:
        knobs = knobs_of(run.recipe)
        knobs["training"] = {key: value for key, value in knobs["training"].items() if key != "seed"}
        weights = run.lock.init and run.lock.init.get("weights")
        seeds = groups.setdefault(json.dumps([knobs, run.lock.data, weights]), {})
        seeds.setdefault(run.recipe.training.seed, []).append(run)
    counted = [[runs[0] for runs in seeds.values()] for seeds in groups.values()]
    return [
        Setting(
            [run.name for run in group],
            [*seeds],
            {again.name: one.name for one, *repeats in seeds.values() for again in repeats},
            {test: _scores_of_setting(group, counted[0], systems) for test, systems in tests.items()},
        )
        for group, seeds in zip(counted, groups.values(), strict=True)
    ]


def _scores_of_setting(
    runs: Sequence[Compared], first: Sequence[Compared], systems: Systems
) -> dict[str, SettingScores]:
    """Compare a setting with the first one on a test set."""
    found: dict[str, SettingScores] = {}
    is_tested = len(runs) + len(first) > 2  # two runs of all can be divided in one way only
    for metric, score in systems[runs[0].name].items():
        own, others = ([systems[run.name][metric]["score"] for run in group] for group in (runs, first))
        is_first = runs is first
        found[metric] = SettingScores(
            mean=mean(own),
            std=stdev(own) if len(own) > 1 else None,
            low=min(own),
            high=max(own),
            signature=score["signature"],
            difference=None if is_first else mean(own) - mean(others),
            test=permutation_test(own, others) if is_tested and not is_first else None,
        )
    return found


def _farthest(
    texts: Mapping[str, TestLines], counted: Mapping[str, MetricStatistics], most: int, *, spaced: bool
) -> list[Line]:
    """Return the lines on which the sentence scores of the runs are farthest apart, the farthest first."""
    scores = np.array([line_scores(counted[name]) for name in texts])  # (runs, lines)
    apart = scores.max(axis=0) - scores.min(axis=0)
    order = [index for index in np.argsort(-apart, kind="stable")[:most].tolist() if apart[index] > 0]
    base = next(iter(texts))
    found = []
    for index in order:
        hypotheses = {name: lines.hypotheses[index] for name, lines in texts.items()}
        pairs = {
            name: differing_parts(hypotheses[base], text, spaced=spaced)
            for name, text in hypotheses.items()
            if text != hypotheses[base]
        }
        (own, _), *_ = pairs.values()
        found.append(
            Line(
                number=index + 1,
                source=texts[base].sources[index],
                reference=texts[base].references[index],
                hypotheses=hypotheses,
                parts={name: pairs[name][1] if name in pairs else own for name in texts},
                chrf={name: float(score) for name, score in zip(texts, scores[:, index], strict=True)},
            )
        )
    return found
