"""The confidence in the translations of a set of lines: it is fitted to their chrF, or judged by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nmt import console
from nmt.config.decoding import EvaluationConfig
from nmt.config.inference import Options
from nmt.evaluation.calibration import Reliability, fit, measure
from nmt.evaluation.metrics import LineStatistics, count
from nmt.inference.bundle import open_bundle
from nmt.inference.confidence import FILE, calibration_of, write_calibration
from nmt.inference.translator import Translator


@dataclass(frozen=True)
class Trust:
    """The translations of a test set, with what the confidence in them is computed from."""

    model: Path
    translator: Translator
    translations: list[str]
    features: list[tuple[float, ...] | None]  # None of blank lines
    is_fitted: bool  # whether the confidence is to be fitted to these lines, or judged on them

    @classmethod
    def of(cls, model: Path, translator: Translator, sources: Sequence[str], *, is_fitted: bool) -> Self:
        """Translate `sources` by the bundle `model`. Raises UsageError where its confidence cannot be judged."""
        if not is_fitted:
            translator.check_calibration()
        found = list(translator.stream(sources, Options(features=True)))
        for warning in [*translator.report.warnings(), *translator.report.unused]:
            console.warn(warning)
        features = [one.candidates[0].features for one in found]
        return cls(model, translator, [one.text for one in found], features, is_fitted)

    def settle(self, references: Sequence[Sequence[str]], config: EvaluationConfig) -> Reliability | None:
        """Fit the confidence to the chrF of the lines and write it to the bundle, or else judge it by them.

        Raises DataError where there are too few lines to fit it to.
        """
        scores, signature = chrf_of_lines(self.translations, references, config)
        known = [(row, score) for row, score in zip(self.features, scores, strict=True) if row is not None]
        rows, scores = [row for row, _ in known], [score for _, score in known]
        if self.is_fitted:
            bundle, decoding = open_bundle(self.model), self.translator.decoding
            calibration = calibration_of(fit(rows, scores), bundle, decoding, signature, len(rows))
            write_calibration(self.model, calibration)
            console.log(f"evaluate: confidence fitted to {len(rows):,} lines: {self.model / FILE}")
            return None
        calibration = self.translator.check_calibration()
        return measure([calibration.confidence(row) for row in rows], scores)


def chrf_of_lines(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], config: EvaluationConfig
) -> tuple[list[float], str]:
    """Return the chrF of each line, and its signature."""
    counted = count(
        {"": hypotheses},
        references,
        tokenize="13a",  # of BLEU, which is not counted
        lowercase=config.lowercase,
        chrf_word_order=config.chrf_word_order,
        metrics=["chrf"],
    )[""]["chrf"]
    assert isinstance(counted, LineStatistics)
    return counted.line_scores(), counted.signature()
