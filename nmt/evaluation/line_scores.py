"""Scores of single lines that were made elsewhere, such as COMET's, beside the metrics that are counted here.

The score of a system is the mean of its lines. Intervals and tests draw the lines of BLEU and chrF.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from nmt.errors import DataError, UsageError
from nmt.evaluation.metrics import MetricScore

EXAMPLE = "--scores comet:wmt22-comet-da=FILE"


@dataclass(frozen=True)
class LineScores:
    """One score of each line of a system; `name` is the metric and its version, as in `comet:wmt22-comet-da`."""

    name: str
    values: Sequence[float]

    @property
    def lines(self) -> list[list[float]]:
        """The counts of each line: its score, and one line; of their sums the score is the quotient."""
        return [[value, 1.0] for value in self.values]

    def score(self) -> MetricScore:
        """Return the mean."""
        return {"score": float(np.mean(self.values)), "signature": self.signature()}

    def sums(self) -> NDArray[np.float64]:
        """Return the sums over all lines (2,)."""
        return np.array([np.sum(self.values), len(self.values)])

    def scores_of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores (samples,) of samples of lines with these sums (samples, 2)."""
        means: NDArray[np.float64] = sums[:, 0] / sums[:, 1]
        return means

    def signature(self, **more: str | int) -> str:
        """Return the name, with `more` entries as sacreBLEU's tests add them."""
        return "|".join([self.name, *(f"{key}:{value}" for key, value in more.items())])


ScoresBeside = Mapping[str, Mapping[str, LineScores]]
"""Scores that are shown beside others, by run or test set, and by metric."""


def split_name(given: str) -> tuple[str, str]:
    """Split `METRIC:VERSION=FILE` into its name and its file. Raises UsageError where it is not written so."""
    name, equals, path = given.partition("=")
    metric, _, version = name.partition(":")
    if not equals and ":" not in name:
        raise UsageError(f"--scores {given}: no metric is named", hint=f"write {EXAMPLE}")
    if not metric.strip() or not version.strip() or "|" in name:
        raise UsageError(f"--scores {given}: a score needs the metric's name and version", hint=f"write {EXAMPLE}")
    if not path:
        raise UsageError(f"--scores {given}: no file is named", hint=f"write {EXAMPLE}")
    return name, path


def match_systems(
    name: str, files: Mapping[str, Mapping[str, Sequence[float]]], systems: Sequence[str], lines: int
) -> dict[str, LineScores]:
    """Return the scores of each system from the columns of `files`, by the names of the systems that they have.

    A file of one column belongs to the system in its place; of files with more, names are those of the systems, or of
    their files without folders. Raises DataError where a system has no scores, or other numbers of lines.
    """
    columns = [(file, system, values) for file, found in files.items() for system, values in found.items()]
    by_name = {PurePath(system).name: (file, values) for file, system, values in columns}
    if all(PurePath(system).name in by_name for system in systems):
        matched = {system: by_name[PurePath(system).name] for system in systems}
    elif len(columns) == len(systems) == len(files):
        matched = {system: (file, values) for system, (file, _, values) in zip(systems, columns, strict=True)}
    else:
        given = f"{len(columns)} systems ({', '.join(system or '?' for _, system, _ in columns)})"
        hint = "give one file for each system, in their order, or one with their names"
        raise DataError(f"{name}={', '.join(files)}: scores of {given}, not of {', '.join(systems)}", hint=hint)
    for system, (file, values) in matched.items():
        if len(values) != lines:
            raise DataError(f"{name}={file}: {len(values):,} scores of {system}, which has {lines:,} lines")
    return {system: LineScores(name, values) for system, (_, values) in matched.items()}
