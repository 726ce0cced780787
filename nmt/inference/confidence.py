"""The confidence of a translation: the sentence chrF to expect of it, by a calibration that lies beside the weights."""

import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from nmt.cards import Card
from nmt.config.decoding import DecodingConfig, InferencePrecision
from nmt.config.section import Section, first_error
from nmt.errors import ArtifactError, UsageError
from nmt.evaluation.calibration import Fit
from nmt.files import is_missing
from nmt.inference.bundle import WEIGHTS, Bundle
from nmt.inference.report import share_spelled
from nmt.version import __version__

FILE = "calibration.json"
CARD = Card(FILE, "calibration", format=1)
FEATURES = ("log_prob", "least_log_prob", "unsure_pieces", "length_ratio", "length", "spelled")
LOWEST = -10.0  # log-probability of a piece below which it is no less likely
UNSURE = math.log(0.3)  # log-probability of a piece below which it is unsure
MOST_RATIO = 2.0  # of the logarithm of lengths
AGAIN = "nmt evaluate {} --source DEV --reference DEV --calibrate"


class Calibration(Section):
    """The content of `calibration.json`: the function from features to the expected chrF, and what it was fitted on."""

    format: int = 1
    nmt: str = __version__  # version of nmt that fitted it
    weights: str  # SHA-256 of the weights that it is for
    features: list[str] = Field(default_factory=lambda: list(FEATURES))
    means: list[float]
    scales: list[float]
    coefficients: list[float]
    knots: list[tuple[float, float]]
    signature: str  # of the chrF
    lines: int  # lines that it was fitted on, blank ones not counted
    precision: InferencePrecision  # in which they were translated
    beam_size: int

    @property
    def fit(self) -> Fit:
        return Fit(self.means, self.scales, self.coefficients, self.knots)

    def confidence(self, features: Sequence[float] | None) -> float:
        """Return the chrF to expect of a translation, 0 to 100; without features, of a blank line, 100."""
        return 100.0 if features is None else float(self.fit.predict([features])[0])


def features_of(token_scores: Sequence[float], pieces: Sequence[str], expected: float) -> tuple[float, ...]:
    """Return the features of a translation, in the order of `FEATURES`.

    `token_scores` are the log-probabilities of its `pieces` and of the ends of its segments; `expected` is the number
    of pieces to expect of its line.
    """
    bounded = [max(score, LOWEST) for score in token_scores]
    ratio = math.log((len(pieces) + 1) / (expected + 1))
    return (
        math.fsum(bounded) / len(bounded),
        min(bounded),
        sum(score < UNSURE for score in bounded) / len(bounded),
        min(abs(ratio), MOST_RATIO),
        math.log(expected + 1),
        share_spelled(pieces),
    )


def calibration_of(fit: Fit, bundle: Bundle, decoding: DecodingConfig, signature: str, lines: int) -> Calibration:
    """Return the calibration of a bundle by a fit to `lines` translations with the settings `decoding`."""
    return Calibration(
        weights=bundle.config.files[WEIGHTS],
        means=fit.means,
        scales=fit.scales,
        coefficients=fit.coefficients,
        knots=fit.knots,
        signature=signature,
        lines=lines,
        precision=decoding.precision,
        beam_size=decoding.beam_size,
    )


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write the calibration beside the weights of the bundle `folder`."""
    CARD.write(folder, calibration.model_dump())


def read_calibration(bundle: Bundle) -> Calibration | None:
    """Return the calibration of a bundle, None where it has none. Raises ArtifactError where it is damaged."""
    path = bundle.path / FILE
    if is_missing(path):
        return None
    again = "make it again: " + AGAIN.format(bundle.path)
    values = CARD.read(bundle.path, hint=again)
    try:
        # JSON has no tuples.
        calibration = Calibration.model_validate(values, strict=False)
    except ValidationError as error:
        raise ArtifactError(f"{path}: {first_error(error)}", hint=again) from None
    sizes = {len(calibration.means), len(calibration.scales), len(calibration.coefficients)}
    if tuple(calibration.features) != FEATURES or sizes != {len(FEATURES)} or not calibration.knots:
        raise ArtifactError(f"{path}: its features are not those of this nmt", hint=again)
    if calibration.weights != bundle.config.files[WEIGHTS]:
        raise ArtifactError(f"{path}: fitted for other weights than those beside it", hint=again)
    return calibration


def no_calibration(path: Path | None) -> UsageError:
    """Return the error of a confidence that is wanted of the bundle at `path`, or of several, without a calibration."""
    if path is None:
        return UsageError("several models together have no confidence: a calibration is of one", hint="take one model")
    hint = "calibrate it on text that it was not trained on: " + AGAIN.format(path)
    return UsageError(f"{path}: has no calibration, so no confidence", hint=hint)
