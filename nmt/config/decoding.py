"""The sections [decoding] and [evaluation], and the settings of sampling."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from nmt.config.section import Effect, Section


class DecodingConfig(Section):
    """Beam search, in validation, `translate` and `evaluate` alike; defaults are the paper's [V17, section 6.1]."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"decoding"})

    beam_size: PositiveInt = 4
    """Hypotheses kept for each sentence; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Alpha of the length penalty [W16, eq. 14]."""
    max_extra_length: NonNegativeInt = 50
    """A hypothesis has at most so many pieces more than its source."""
    max_length_ratio: PositiveFloat | None = None
    """A hypothesis has at most so many times the pieces of its source; by default `max_extra_length` alone says."""
    min_length: NonNegativeInt = 0
    """A hypothesis has at least so many pieces, where `max_extra_length` and `max_length_ratio` allow it."""
    no_repeat_ngram: NonNegativeInt = 0
    """No hypothesis holds the same run of so many pieces twice; 0 allows it."""
    batch_tokens: PositiveInt = 4096
    """Padded source tokens decoded at once, beams not counted."""


class EvaluationConfig(Section):
    """How sacreBLEU scores."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"decoding"})

    tokenize: str = "auto"
    """BLEU's tokenizer; `auto` follows the target language: zh, ja-mecab, ko-mecab, else 13a."""
    lowercase: bool = False
    """Score without case."""
    chrf_word_order: NonNegativeInt = 0
    """Word n-grams in chrF: 0 is chrF2, 2 is chrF2++."""


class SamplingConfig(Section):
    """Drawing translations at random, in place of the search for the best."""

    temperature: PositiveFloat = 1.0
    """Divides the logits: under 1 the likely pieces become likelier."""
    top_k: NonNegativeInt = 0
    """Draw among the so many likeliest pieces (Fan et al. 2018); 0 is all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the fewest likeliest pieces that together have this probability (Holtzman et al. 2020)."""
    seed: NonNegativeInt = 1
    """Together with the source it determines what is drawn."""
