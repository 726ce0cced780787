"""The results of translating and scoring: translations with their hypotheses, and scores of given ones."""

from dataclasses import dataclass

from nmt.evaluation.checks import Checks, describe
from nmt.inference.protocol import Matrix


@dataclass(frozen=True)
class Candidate:
    """One hypothesis of a line."""

    text: str  # one line
    score: float
    """Log-probability over the length penalty; the sum over the segments of a long line; 0 for a blank line."""
    pieces: list[str]  # output of the model, without EOS
    token_scores: list[float] | None = None
    """Log-probability of each piece, EOS last; a line in segments has an EOS after each segment."""
    alignment: list[tuple[int, int]] | None = None  # pairs of a source word and a target word, counted from 0
    unrestored: list[str] | None = None
    """Protected text missing from the translation, because the model left out its placeholder; None without
    protection."""
    invented: int = 0  # number of placeholders in the output that stood for nothing; they are not in the text
    unmet: list[str] | None = None
    """Targets of the glossary that the translation lacks, each as often as it is missing; None without a glossary."""
    checks: Checks | None = None
    """Checks that the text fails against its line; empty where it passes, None unless wanted."""

    confidence: float | None = None
    """The chrF to expect of the text, 0 to 100, and 100 of a blank line; None unless wanted."""
    features: tuple[float, ...] | None = None  # see `confidence.FEATURES`

    @property
    def failures(self) -> str:
        """The failed checks in words, as in `numbers missing: 1,500; tags invented: <b>`."""
        return describe(self.checks or {})


@dataclass(frozen=True)
class Translation:
    """The translation of one line."""

    source: str
    candidates: list[Candidate]
    """Best first, samples in the order drawn; fewer than wanted where the search found fewer."""
    is_unsure: bool = False  # whether the confidence of the best one is under the least that was wanted

    @property
    def text(self) -> str:
        """The best hypothesis, one line."""
        return self.candidates[0].text

    @property
    def score(self) -> float:
        """The score of the best hypothesis."""
        return self.candidates[0].score

    @property
    def checks(self) -> Checks | None:
        """The checks that the best hypothesis fails."""
        return self.candidates[0].checks


@dataclass(frozen=True)
class Output:
    """A hypothesis of a segment; scores and attention are empty unless wanted."""

    src: list[int]
    tgt: list[int]  # pieces of both sides, without EOS
    score: float
    token_scores: list[float]
    attention: Matrix


@dataclass(frozen=True)
class PairScore:
    """The score of a given translation."""

    score: float  # log-probability over the length penalty; NaN where a side is blank or too long for the model
    pieces: list[str]  # pieces of the target
    token_scores: list[float]  # log-probability of each piece, EOS last
