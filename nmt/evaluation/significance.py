"""Whether two systems differ by more than chance: paired tests over the lines of a test set, as sacreBLEU draws them.

Approximate randomization (Noreen 1989; Riezler and Maxwell 2005) swaps the translations of a line between two systems
at random; the bootstrap (Efron 1979; Koehn 2004) draws lines with replacement. Both p-values are two-sided: the share
of the trials whose difference is at least as large as the one observed, in either direction.

They differ from sacreBLEU's in two points. Its p of the bootstrap is one-sided, about half, because it centres the
absolute differences, not the signed ones (findings/sacrebleu_bootstrap_p.sh). And a trial that ties with the difference
observed counts here: without ties, systems that differ in a single line would differ with p = 0.0001
(findings/sacrebleu_randomization_ties.sh).

These tests are about two given models. Whether two settings differ, each trained from several seeds, is a question to
the scores of the runs (Clark et al. 2011): `permutation_test`.
"""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, NotRequired, Protocol, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from nmt.errors import UsageError
from nmt.evaluation.metrics import MetricName, MetricScore

RESAMPLES = 1000  # of the bootstrap; sacreBLEU's default, as are the other two
TRIALS = 10_000  # of approximate randomization
SEED = "12345"
TESTED: tuple[MetricName, ...] = ("bleu", "chrf")  # by default
WAYS = 200_000  # of dividing runs between two settings: more are drawn at random
ROWS = 32  # samples drawn at once; numpy draws 32 booleans from a word, and the rest of a word would be lost
TIE = 1e-9  # differences between scores that are rounding errors

Array = NDArray[np.float64]
Sums = dict[tuple[str, str], Array]  # by system and metric: (samples, counts)
Name = TypeVar("Name", bound=str)


class Counted(Protocol):
    """What the tests need of a metric and a system: the counts of each line, from whose sums a score is computed."""

    @property
    def lines(self) -> list[list[float]]: ...
    def score(self) -> MetricScore: ...
    def sums(self) -> Array: ...
    def scores_of(self, sums: Array) -> Array: ...
    def signature(self, **more: str | int) -> str: ...


class Interval(TypedDict):
    """The bootstrap of one system: the mean score, half the width of its 95% interval, and its ends."""

    mean: float
    half_width: float
    low: float
    high: float
    signature: str


class Difference(TypedDict):
    """A score less that of the baseline, the ends of its 95% interval by the bootstrap, and two-sided p-values."""

    baseline: str
    value: float
    low: float
    high: float
    bootstrap_p: float
    bootstrap_signature: str
    randomization_p: float
    randomization_signature: str


class TestedScore(MetricScore):
    """A score with its interval and, for a system other than the baseline, the difference."""

    interval: NotRequired[Interval]
    difference: NotRequired[Difference]


TestedScores = dict[MetricName, TestedScore]


def read_seed() -> int | None:
    """Return the seed of SACREBLEU_SEED in the environment, as sacreBLEU's tests; None, for a new one, if it is "none".

    Raises UsageError where it is neither that nor a number from 0 on.
    """
    seed = os.environ.get("SACREBLEU_SEED", SEED)
    if seed.lower() == "none":
        return None
    if not seed.isdecimal():
        raise UsageError(f"the environment has SACREBLEU_SEED={seed}", hint="set it to a number from 0 on, or to none")
    return int(seed)


def compare(
    systems: Mapping[str, Mapping[Name, Counted]], tested: Collection[str], seed: int | None = int(SEED)
) -> dict[str, dict[Name, TestedScore]]:
    """Score systems of as many lines each, and test the metrics in `tested` against the first one, the baseline."""
    baseline, *others = systems
    results: dict[str, dict[Name, TestedScore]] = {
        system: {
            name: TestedScore(score=counted.score()["score"], signature=counted.signature())
            for name, counted in statistics.items()
        }
        for system, statistics in systems.items()
    }
    names = [name for name in systems[baseline] if name in tested]
    if not names:
        return results
    lines = len(systems[baseline][names[0]].lines)
    resampled = _sums(systems, names, resamples(lines, seed))
    swapped = _sums(systems, names, swaps(lines, seed)) if others else {}
    for name in names:
        base = systems[baseline][name]
        words = str(seed).lower()
        signatures = base.signature(seed=words, bs=RESAMPLES), base.signature(seed=words, ar=TRIALS)
        samples = {system: base.scores_of(resampled[system, name]) for system in systems}
        for system, scores in samples.items():
            results[system][name]["interval"] = _interval(scores, signatures[0])
        for system in others:
            value = results[system][name]["score"] - results[baseline][name]["score"]
            moved = swapped[baseline, name] - swapped[system, name]
            trials = base.scores_of(systems[system][name].sums() + moved) - base.scores_of(base.sums() - moved)
            results[system][name]["difference"] = _difference(
                baseline, value, samples[system] - samples[baseline], trials, *signatures
            )
    return results


def _interval(samples: Array, signature: str) -> Interval:
    low, high = ends(samples)
    return Interval(mean=float(samples.mean()), half_width=(high - low) / 2, low=low, high=high, signature=signature)


def _difference(
    baseline: str, value: float, samples: Array, trials: Array, bootstrap: str, randomization: str
) -> Difference:
    """Describe a difference by its bootstrap `samples` and its `trials` with translations swapped."""
    low, high = ends(samples)
    return Difference(
        baseline=baseline,
        value=value,
        low=low,
        high=high,
        bootstrap_p=p_value(samples - samples.mean(), value),
        bootstrap_signature=bootstrap,
        randomization_p=p_value(trials, value),
        randomization_signature=randomization,
    )


def resamples(lines: int, seed: int | None) -> Iterator[Array]:
    """Draw the bootstrap's samples: how often each of `lines` is in it, in blocks of (samples, lines)."""
    rng = np.random.default_rng(seed)
    for first in range(0, RESAMPLES, ROWS):
        rows = min(ROWS, RESAMPLES - first)
        drawn = rng.choice(lines, size=(rows, lines)) + lines * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * lines).reshape(rows, lines).astype(np.float64)


def swaps(lines: int, seed: int | None) -> Iterator[Array]:
    """Draw the trials of approximate randomization: 1 for each line to swap, in blocks of (trials, lines)."""
    rng = np.random.default_rng(seed)
    for first in range(0, TRIALS, ROWS):
        yield rng.integers(2, size=(min(ROWS, TRIALS - first), lines), dtype=bool).astype(np.float64)


def ends(samples: Array) -> tuple[float, float]:
    """Return the ends of the 95% interval of `samples`, as sacreBLEU cuts it."""
    cut = len(samples) // 40
    ordered = np.sort(samples)
    return float(ordered[cut]), float(ordered[-1 - cut])


def p_value(samples: Array, observed: float) -> float:
    """Return the share of `samples` of a difference, drawn where there is none, that are as large as `observed`.

    The difference observed counts as a sample, so that p is never 0.
    """
    return (int(np.sum(np.abs(samples) >= abs(observed) - TIE)) + 1) / (len(samples) + 1)


class RunsTest(NamedTuple):
    """The two-sided p-value of a difference between means, and the smallest one that so few runs can have."""

    p: float
    smallest_p: float


def permutation_test(first: Sequence[float], second: Sequence[float], seed: int | None = int(SEED)) -> RunsTest:
    """Test the difference between the mean scores of two settings, each of at least one run.

    The exact permutation test (Fisher 1935; Pitman 1937): p is the share of all ways to divide the runs between the
    settings by which the means differ as much, in either direction. Of more than WAYS, as many are drawn.
    """
    scores, size = np.array([*first, *second]), len(first)
    ways = math.comb(len(scores), size)
    if ways <= WAYS:
        chosen = np.array(list(combinations(range(len(scores)), size)))
    else:
        runs = np.tile(np.arange(len(scores)), (WAYS, 1))
        chosen = np.random.default_rng(seed).permuted(runs, axis=1)[:, :size]
    sums = scores[chosen].sum(axis=1)
    differences = np.abs(sums / size - (scores.sum() - sums) / len(second))
    observed = abs(float(np.mean(first)) - float(np.mean(second)))
    if ways > WAYS:
        return RunsTest(p_value(differences, observed), 1 / (WAYS + 1))
    # Settings of as many runs may be exchanged, which changes the sign alone.
    return RunsTest(float(np.mean(differences >= observed - TIE)), (1 + (len(first) == len(second))) / ways)


def _sums(systems: Mapping[str, Mapping[Name, Counted]], names: Sequence[Name], weights: Iterable[Array]) -> Sums:
    """Sum the counts of the lines with the weights of each sample: an array (samples, counts) of each."""
    keys = [(system, name) for system in systems for name in names]
    counts = [np.array(systems[system][name].lines, dtype=np.float64) for system, name in keys]
    table = np.hstack(counts)  # one product serves all
    widths = np.cumsum([array.shape[1] for array in counts])
    return dict(zip(keys, np.split(np.vstack([block @ table for block in weights]), widths[:-1], axis=1), strict=True))
