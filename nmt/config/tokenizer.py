"""The section [tokenizer]."""

from collections import Counter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from nmt.config.section import Affects, AsBefore, Count, Effect, Natural, Section
from nmt.config.symbols import Symbol, mask_pieces

Coverage = Annotated[float, Field(ge=0.98, le=1)]
Rule = Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "nfc", "identity"]
PLAIN_RULES: tuple[Rule, ...] = ("nfc", "identity")
"""The rules that leave words as they are."""


class TokenizerConfig(Section):
    """SentencePiece, trained on the cleaned training text alone."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"tokenizer"})
    model_type: Literal["bpe", "unigram", "word"] = "bpe"
    """Byte-pair encoding (Sennrich et al. 2016), unigram language model (Kudo 2018), or `word`: each word between
    spaces is a piece, as the symbols of `task` are to be; it needs `byte_fallback` = false."""
    vocab_size: Annotated[int, Field(ge=16, le=10**7)] = 8000
    """Pieces, special ones included; of each side where not `joint`."""
    hard_vocab_limit: bool = True
    """Refuse text that has fewer different pieces than `vocab_size`, instead of making fewer."""
    joint: bool = True
    """One model for both languages; needed to tie the source embedding."""
    character_coverage: Coverage = 1.0
    """Share of the characters that get a piece; the others fall back to bytes."""
    byte_fallback: bool = True
    """Spell unknown characters in UTF-8 bytes instead of writing the unknown piece."""
    normalization: Rule = "nmt_nfkc"
    """Normal form of the source: a rule of SentencePiece between two passes of Unicode's NFC, or `nfc` alone, both
    without soft hyphens; or `identity`, which changes nothing."""
    target_normalization: Annotated[Rule | None, AsBefore(None)] = "nfc"
    """Normal form of the target, in which translations are written: `nfc` keeps full-width marks, fractions, joiners
    and narrow spaces, which the rules of SentencePiece replace. `none` puts `normalization` within the SentencePiece
    models of both sides, without NFC, as nmt did before it had this key."""
    user_defined_symbols: list[Symbol] = Field(default_factory=list)
    """Pieces that are never split, each given once; text that a rule turns into one is no such piece."""
    sample_sentences: Count = 2_000_000
    """Train on at most this many lines, drawn at random with `training.seed`."""
    sampling: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Affects("updates")] = None
    """Subword regularization, which splits the training text anew each epoch: for `bpe` the share of merges left out
    (BPE-dropout, Provilkov et al. 2020, section 3.2; 0.1 there), for `unigram` the smoothing alpha (Kudo 2018,
    section 3.2); by default none."""
    placeholders: Annotated[Natural, Field(le=10_000)] = 0
    """Pieces that stand for matches of `data.protect` or `nmt translate --protect`: the most in one line."""
    masks: Annotated[Natural, Field(le=1000)] = 0
    """Pieces `<mask>`, `<mask1>`, `<mask2>` and so on, which stand for text that is to be predicted; none comes from
    raw text, and none has a text."""
    trees: bool = False
    """Targets are bracketed trees: each bracket with its label, and each tag of a word, is one piece, which no text
    has."""

    @model_validator(mode="after")
    def trees_have_the_words_of_the_source(self) -> Self:
        if self.trees and not {self.normalization, self.target_normalization} <= {*PLAIN_RULES}:
            raise ValueError('trees keep the words of their source: set normalization = "nfc"')
        if self.trees and not self.byte_fallback:
            raise ValueError("trees keep every word of their source: byte_fallback = true spells the unknown ones")
        if self.trees and self.sampling:
            raise ValueError("sampling is not for trees, whose words have one splitting: leave it out")
        return self

    @model_validator(mode="after")
    def symbols_and_rules_agree(self) -> Self:
        symbols = self.user_defined_symbols
        if twice := [symbol for symbol, count in Counter(symbols).items() if count > 1]:
            raise ValueError(f"user_defined_symbols: {twice[0]!r} is there twice")
        if masks := [symbol for symbol in symbols if symbol in self.mask_pieces]:
            raise ValueError(f"user_defined_symbols: {masks[0]!r} is a piece of tokenizer.masks")
        for key in ("byte_fallback", "user_defined_symbols", "placeholders", "sampling"):
            if self.model_type == "word" and (value := getattr(self, key)):
                remedy = "set it to false" if value is True else "leave it out"
                raise ValueError(f'{key} is not for model_type = "word", whose pieces are whole words: {remedy}')
        if self.normalization == "nfc" and self.target_normalization is None:
            raise ValueError('normalization = "nfc" needs a target_normalization: SentencePiece has no such rule')
        return self

    @property
    def mask_pieces(self) -> list[str]:
        return mask_pieces(self.masks)
