"""The sections [decoding], [evaluation] and [expected.TEST], and the settings of sampling."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from nmt.config.section import Affects, Effect, Section

Pieces = Annotated[NonNegativeInt, Field(le=10**6)]
InferencePrecision = Literal["float32", "bfloat16", "int8"]


class DecodingConfig(Section):
    """Search settings of validation, `translate` and `evaluate`; defaults are the paper's [V17, section 6.1]."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"decoding"})
    beam_size: Annotated[PositiveInt, Field(le=1000)] = 4
    """Hypotheses kept for each sentence; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Alpha of the length penalty (Wu et al. 2016, eq. 14)."""
    max_extra_length: Pieces = 50
    """Largest number of pieces that a hypothesis may have more than its source."""
    max_length_ratio: Annotated[PositiveFloat, Field(le=1000)] | None = None
    """Largest length of a hypothesis as a multiple of its source's, in pieces; by default `max_extra_length` alone
    limits it."""
    min_length: Pieces = 0
    """Smallest number of pieces of a hypothesis, as far as `max_extra_length` and `max_length_ratio` allow it."""
    no_repeat_ngram: Pieces = 0
    """Length of the piece n-grams that may occur only once in a hypothesis; 0 allows all repetitions."""
    well_formed: bool = True
    """Where targets are trees (`tokenizer.trees`), search only among well-formed ones over exactly the source's
    words."""
    batch_tokens: Annotated[Annotated[PositiveInt, Field(le=10**9)] | None, Affects()] = None
    """Padded source tokens decoded at once, beams not counted; by default 4,096, on a GPU 16,384."""
    segments: Literal["auto", "sentence", "fill"] = "auto"
    """Segments of long lines. auto: lines with more sentences than 95% of the training lines, or more pieces than 99%,
    are cut into segments of at most as many; if the model does not say these figures, lines too long for it are cut
    into sentences.
    sentence: each sentence is a segment. fill: lines too long for the model are cut into ones as long as it takes."""
    mbr: Annotated[NonNegativeInt, Field(le=1000)] = 0
    """Hypotheses of a segment of which the one most like all of them by chrF is taken: minimum Bayes risk (Eikema and
    Aziz 2020). 0 takes the one with the best score."""
    mbr_from: Literal["sampling", "n_best"] = "sampling"
    """Origin of the hypotheses of `mbr`: drawn at random, or the best ones of a beam of at least as many."""
    mbr_temperature: Annotated[PositiveFloat, Field(le=100)] = 1.0
    """Temperature at which the hypotheses of `mbr` are drawn."""
    precision: InferencePrecision = "float32"
    """Precision of the native engine: float32 is exact; bfloat16, and int8 on a CPU, are faster."""

    def idle_keys(self, given: Collection[str]) -> list[str]:
        """Return those of the keys `given` that do nothing, as there is no `mbr`."""
        return [] if self.mbr else [key for key in ("mbr_from", "mbr_temperature") if key in given]


class EvaluationConfig(Section):
    """Settings of sacreBLEU."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"decoding"})
    tokenize: str = "auto"
    """BLEU's tokenizer; auto follows the target language: zh, ja-mecab, ko-mecab, char where its script has no spaces,
    else 13a."""
    lowercase: bool = False
    """Score without case."""
    chrf_word_order: Annotated[NonNegativeInt, Field(le=10)] = 0
    """Word n-grams in chrF: 0 is chrF2, 2 is chrF2++."""


class ConfidenceConfig(Section):
    """The confidence in a translation, which is the chrF to expect of it."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"bundle"})
    calibrate: bool = False
    """Fit it to the translations of dev, of which 100 lines are the least, store it in the bundle, and judge it on the
    test sets."""


class ExpectedConfig(Section):
    """The score that a recipe is to reach on a test set, for `nmt reproduce`; it is part of no fingerprint."""

    affects: ClassVar[frozenset[Effect]] = frozenset()
    bleu: Annotated[float, Field(ge=0, le=100)] | None = None
    """Expected BLEU."""
    bracket_f1: Annotated[float, Field(ge=0, le=100)] | None = None
    """Expected F1 of brackets, in place of `bleu`, where the test set is of trees."""
    signature: Annotated[str, Field(min_length=1)]
    """Signature of the expected score, or how a published figure was computed; scores of another one do not compare."""
    tolerance: Annotated[float, Field(ge=0, le=100)] = 0.5
    """Largest difference from the expected score that passes."""
    source: str = ""
    """Origin of the score."""
    is_measured: bool = True
    """Whether a run of the recipe reached the score; false marks a published figure that no run was compared with."""

    @model_validator(mode="after")
    def expects_one_score(self) -> Self:
        if (self.bleu is None) == (self.bracket_f1 is None):
            raise ValueError("give one of bleu and bracket_f1")
        return self


class SamplingConfig(Section):
    """Settings of drawing translations at random, in place of the search for the best."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"synthetic"})
    temperature: Annotated[PositiveFloat, Field(le=100)] = 1.0
    """Divisor of the logits: under 1 likely pieces become likelier, over 1 less so."""
    top_k: Annotated[NonNegativeInt, Field(le=10**9)] = 0
    """Draw among this many likeliest pieces (Fan et al. 2018); 0 is all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the fewest likeliest pieces whose probabilities sum to this (Holtzman et al. 2020)."""
    seed: Annotated[NonNegativeInt, Field(lt=2**63)] = 1
    """Seed; what is drawn depends on it and on the source line alone."""
