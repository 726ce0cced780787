"""Calibration: from features of a translation to the sentence chrF to expect, and how reliable such figures are.

A weighted sum of the features is fitted to the scores by ridge regression; then the scores are made a monotone function
of it (isotonic regression; Zadrozny and Elkan 2002), by the means of groups of lines, so that no single line matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from nmt.errors import DataError

LEAST_LINES = 100  # of a fit
GROUP, MOST_GROUPS = 25, 20  # least lines of a group, and most groups
RIDGE = 1e-3  # of the number of lines
BINS = 10  # of the table of reliability
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A function from features (N, F) to expected scores (N)."""

    means: list[float]  # of the features
    scales: list[float]  # standard deviations of the features, 1 of constant ones
    coefficients: list[float]  # of the standardized features
    knots: list[tuple[float, float]]  # (their weighted sum, expected score), both ascending; linear between

    def predict(self, features: Sequence[Sequence[float]]) -> Array:
        """Return the expected score (N) of each row of `features` (N, F)."""
        xs, ys = zip(*self.knots, strict=True)
        values: Array = np.interp(
            _sums(np.asarray(features, float), self.means, self.scales, self.coefficients), xs, ys
        )
        return values


class Bin(TypedDict):
    """The lines whose confidence lies in one tenth of the lines by confidence."""

    lines: int
    confidence: float  # mean
    score: float  # mean


class Reliability(TypedDict):
    """How well expected scores agree with those measured."""

    lines: int
    error: float  # expected calibration error: the mean of |confidence - score| of the bins, by their lines
    correlation: float | None  # Pearson's, of lines; None where either side is constant
    rank_correlation: float | None  # Spearman's
    bins: list[Bin]


def check_lines(count: int) -> None:
    """Raise DataError where so many lines are too few for a fit."""
    if count < LEAST_LINES:
        raise DataError(f"{count:,} lines to calibrate on: {LEAST_LINES} are the least", hint="give more lines")


def fit(features: Sequence[Sequence[float]], scores: Sequence[float]) -> Fit:
    """Fit the expected score of features (N, F) to `scores` (N). Raises DataError where there are too few."""
    x, y = np.asarray(features, float), np.asarray(scores, float)
    check_lines(len(y))
    means, scales = x.mean(0), x.std(0)
    scales = np.where(scales > 0, scales, 1.0)
    z = (x - means) / scales
    coefficients = np.linalg.solve(z.T @ z + RIDGE * len(y) * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    lists = means.tolist(), scales.tolist(), coefficients.tolist()
    return Fit(*lists, knots=_knots(_sums(x, *lists), y))


def measure(confidences: Sequence[float], scores: Sequence[float]) -> Reliability:
    """Compare expected scores with measured ones, in bins of as many lines each."""
    x, y = np.asarray(confidences, float), np.asarray(scores, float)
    order = np.argsort(x, kind="stable")
    bins = [
        Bin(lines=len(part), confidence=float(x[part].mean()), score=float(y[part].mean()))
        for part in np.array_split(order, min(BINS, max(len(x), 1)))
        if len(part)
    ]
    error = sum(one["lines"] * abs(one["confidence"] - one["score"]) for one in bins) / max(len(x), 1)
    return Reliability(
        lines=len(x),
        error=error,
        correlation=_correlation(x, y),
        rank_correlation=_correlation(_ranks(x), _ranks(y)),
        bins=bins,
    )


def _sums(features: Array, means: Sequence[float], scales: Sequence[float], coefficients: Sequence[float]) -> Array:
    # Row by row, not as a product of matrices, whose rounding depends on the number of rows.
    sums: Array = ((features - np.asarray(means)) / np.asarray(scales) * np.asarray(coefficients)).sum(1)
    return sums


def _knots(sums: Array, scores: Array) -> list[tuple[float, float]]:
    """Return the means of groups of neighbours, merged until the scores ascend (pool adjacent violators)."""
    order = np.argsort(sums, kind="stable")
    blocks: list[tuple[float, float, int]] = []  # mean sum, mean score, lines
    for part in np.array_split(order, min(MOST_GROUPS, len(order) // GROUP)):
        blocks.append((float(sums[part].mean()), float(scores[part].mean()), len(part)))
        while len(blocks) > 1 and (blocks[-2][1] >= blocks[-1][1] or blocks[-2][0] >= blocks[-1][0]):
            (x1, y1, n1), (x2, y2, n2) = blocks[-2:]
            blocks[-2:] = [((n1 * x1 + n2 * x2) / (n1 + n2), (n1 * y1 + n2 * y2) / (n1 + n2), n1 + n2)]
    return [(x, y) for x, y, _ in blocks]


def _ranks(values: Array) -> Array:
    """Return the ranks of `values`, equal ones sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def _correlation(x: Array, y: Array) -> float | None:
    if len(x) < 2 or x.std() == 0 or y.std() == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])
