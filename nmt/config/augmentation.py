"""The section [augmentation]."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from nmt.config.section import Effect, Section, Seed

Rate = Annotated[float, Field(ge=0, le=1)]


class AugmentationConfig(Section):
    """Pairs made from the training pairs, and added to them, so that a model knows other ways of writing.

    Each rate is the share of the pairs of `data.train` from which one more is made; 0 makes none. The pairs of a corpus
    join that corpus, with its weight.
    """

    affects: ClassVar[frozenset[Effect]] = frozenset({"augmentation"})
    upper: Rate = 0.0
    """Both sides in capitals, as their languages write them: German ss for sharp s, Turkish dotted capital I, Greek
    without the accents. A side without upper and lower case stays as it is."""
    title: Rate = 0.0
    """The source with a capital at the start of each word, as English headlines are written; the target stays."""
    lower: Rate = 0.0
    """Both sides in lower case."""
    no_final_mark: Rate = 0.0
    """Both sides without the full stop, question or exclamation mark at their end."""
    typos: Rate = 0.0
    """The source with typing errors in a tenth of its words, at least in one: two letters swapped, one left out,
    doubled, or replaced by its neighbour on the keyboard; the target stays (Belinkov and Bisk 2018)."""
    join: Rate = 0.0
    """A pair joined with those after it in its corpus, as a paragraph; each but the last must end in a mark."""
    join_most: Annotated[int, Field(ge=2, le=32)] = 8
    """The most pairs of a joined one; their number is drawn from 2 up to it."""
    single_words: Rate = 0.0
    """A word of the source and its most frequent translation, as a pair of their own; rare words are taken more often
    than frequent ones. Needs the alignment of words, which is made first, as the next three do."""
    copied_tokens: Rate = 0.0
    """Both sides with the same invented name, number, code or address, in the place of a name or number that both have,
    or in brackets at the end: what is rare is to be copied."""
    inline_tags: Rate = 0.0
    """Both sides with placeholders around words that are aligned, or before one, as text with tags has them that
    `nmt translate --protect` or a document's reader protects; needs `tokenizer.placeholders` of at least 2."""
    terms: Rate = 0.0
    """The source with the translations of some aligned words or phrases behind them, between marks that are pieces of
    the tokenizer; but for exchanged words the target stays (Dinu et al. 2019, section 3). A model trained so takes
    the terms of `nmt translate --glossary` from its source, without constraints of the search. Needs the alignment and
    `tokenizer.joint`."""
    terms_most: Annotated[int, Field(ge=1, le=16)] = 3
    """The most terms of a source for `terms`; their number is drawn from 1 up to it."""
    terms_exchanged: Rate = 0.5
    """Share of the terms with one target word in whose place another word stands, in the annotation and in the target:
    one of the training text that ends alike, or an invented one. A model that trusts the source word is wrong there, so
    it learns to copy the term; 0 exchanges none."""
    terms_lemmas: Rate = 0.0
    """Share of the other terms with one target word whose annotation has the base form of that word, where the target
    keeps its own: the model learns to inflect what a glossary has in base form (Bergmanis and Pinnis 2021, section 3).
    Needs the extra `lemmas`."""
    seed: Seed = 1
    """Seed of all draws: which pairs are taken, and what is changed in them."""

    @model_validator(mode="after")
    def no_key_is_idle(self) -> Self:
        for kind in ("join", "terms"):
            own = [key for key in type(self).model_fields if key.startswith(f"{kind}_")]
            idle = [key for key in own if getattr(self, key) != type(self).model_fields[key].default]
            if idle and not getattr(self, kind):
                raise ValueError(f"{idle[0]} is for {kind}, which is 0: leave it out")
        return self

    @property
    def needs_alignment(self) -> bool:
        """Whether a kind is made from aligned words."""
        return any((self.single_words, self.copied_tokens, self.inline_tags, self.terms))

    @property
    def rates(self) -> dict[str, float]:
        """The rates above 0 by kind, in the order of the section."""
        others = ("join_most", "terms_most", "terms_exchanged", "terms_lemmas", "seed")
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in others}
        return {name: rate for name, rate in values.items() if rate}
