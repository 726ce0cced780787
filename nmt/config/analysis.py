"""The settings of an evaluation in depth; no part of a recipe."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt.config.section import Flag, Section
from nmt.errors import UsageError

Files = Annotated[list[str], Flag(metavar="FILE...")]


class AnalysisConfig(Section):
    """What is told of translations beside their scores."""

    analysis: bool = False
    """Add tables: scores by length, rarity of words and domain; copied, empty and repeated lines; numbers, names,
    addresses and placeholders that survive. Needs the source."""
    training_source: Files = Field(default_factory=list)
    """Source side of the training text, for the rarity of words; by default that in MODEL's run folder."""
    labels: Files = Field(default_factory=list)
    """A label of each line, such as its domain, by which scores are grouped; WMT's .xml may have domains itself."""
    scores: Annotated[list[str], Flag(metavar="METRIC:VERSION=FILE...")] = Field(default_factory=list)
    """Scores of the lines that were made elsewhere: comet:wmt22-comet-da=FILE; of several systems a file each."""
    robustness: bool = False
    """Let MODEL translate the source in capitals, title case and lower case, with typing errors, without marks at the
    end, and word by word too, and show the scores beside the plain ones."""

    confidence: bool = False
    """Compare MODEL's confidence in each translation with its chrF: the mean error, and a table of tenths of the
    lines."""
    calibrate: bool = False
    """Fit MODEL's confidence to the chrF of these lines, which it must not have been trained on, and store it in
    MODEL."""

    @model_validator(mode="after")
    def check(self) -> Self:
        for option, files in (("--training-source", self.training_source), ("--labels", self.labels)):
            if files and not self.analysis:
                raise UsageError(f"{option} groups the lines of an analysis", hint="add --analysis")
        if self.calibrate and self.confidence:
            raise UsageError("--calibrate fits the confidence to these lines", hint="give --confidence other ones")
        return self
