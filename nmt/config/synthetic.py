"""The section [distillation], and the settings of the synthetic pairs of a training corpus."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from nmt.config.decoding import InferencePrecision, SamplingConfig
from nmt.config.section import Affects, Effect, Section, Seed
from nmt.config.symbols import Symbol

Share = Annotated[float, Field(gt=0, le=1)]
TEACHER = "distillation.teacher"
Rate = Annotated[float, Field(ge=0, lt=1)]


class WordNoiseConfig(Section):
    """The noise of `method = "noised"`; the defaults are those of Edunov et al. 2018, section 3."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"synthetic"})
    drop: Rate = 0.1
    """Probability that a word is dropped; one word of a line stays."""
    blank: Rate = 0.1
    """Probability that a word is replaced by `symbol`."""
    symbol: Symbol = "<blank>"
    """What replaces a word; it has to be one of `tokenizer.user_defined_symbols`, unless `blank` is 0."""
    shuffle: Annotated[int, Field(ge=0, le=1000)] = 3
    """Positions that a word may be moved; 0 keeps the order."""
    seed: Seed = 1
    """Seed; the noise of a line depends on it and on the line alone."""


class SyntheticConfig(Section):
    """How the synthetic pairs of a corpus are made and chosen."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"synthetic"})
    method: Literal["beam", "sampling", "noised"] = "beam"
    """How a line is translated: by beam search, by sampling as `sampling` says, or by beam search with the noise of
    `noise` in the result, which then has to be the source of the pair (Edunov et al. 2018)."""
    beam_size: Annotated[PositiveInt, Field(le=1000)] | None = None
    """Beam size; by default the model's own. All other settings of the search are the model's."""
    precision: InferencePrecision | None = None
    """Precision of the native engine, such as int8 for a faster translation; by default the model's own."""
    ensemble: bool = False
    """Let several models translate together, as an ensemble; by default each makes pairs of its own."""
    keep_original: Annotated[bool, Affects("text")] = True
    """Train on the original pairs too, where a corpus of pairs is translated."""
    tags: list[str] = Field(default_factory=list)
    """Tags of the translating model that it is given before each line, in place of those of the corpus."""
    score_with: Annotated[str | None, Affects()] = None
    """Bundle of a model in the other direction. The score of a pair is then the dual one of both models
    (Junczys-Dowmunt 2018, section 3.1); by default it is the mean log-probability of a piece by the model that
    translates."""
    best_of: Annotated[PositiveInt, Field(le=100)] = 1
    """Take, of this many hypotheses or samples of a line, the one with the best score; more than 1 needs
    `score_with`."""
    keep_share: Share | None = None
    """Keep this share of the pairs that each model, or ensemble, makes of the corpus: those with the best scores."""
    min_score: Annotated[float, Field(le=0)] | None = None
    """Keep the pairs with at least this score, which is 0 at best."""
    sampling: SamplingConfig = SamplingConfig()
    noise: WordNoiseConfig = WordNoiseConfig()

    @model_validator(mode="after")
    def settings_agree(self) -> Self:
        for method, key, section in (
            ("sampling", "sampling", SamplingConfig()),
            ("noised", "noise", WordNoiseConfig()),
        ):
            if self.method != method and getattr(self, key) != section:
                raise ValueError(f'{key} is for method = "{method}": leave it out')
        if self.method == "sampling" and self.beam_size is not None:
            raise ValueError('beam_size is for a search, not for method = "sampling": leave it out')
        if self.keep_share is not None and self.min_score is not None:
            raise ValueError("keep_share and min_score exclude each other")
        if self.best_of > 1 and self.score_with is None:
            raise ValueError("best_of needs score_with, the model that tells which hypothesis is best")
        if self.best_of > 1 and self.method != "sampling" and self.beam_size and self.best_of > self.beam_size:
            raise ValueError(f"best_of = {self.best_of} is more than beam_size = {self.beam_size}")
        return self

    @property
    def is_filtered(self) -> bool:
        """Whether pairs are chosen by their scores."""
        return self.keep_share is not None or self.min_score is not None

    @property
    def has_scores(self) -> bool:
        """Whether pairs are scored."""
        return self.is_filtered or self.best_of > 1


class DistillationConfig(SyntheticConfig):
    """Sequence-level knowledge distillation (Kim & Rush 2016): the targets are translations by a teacher.

    The teacher translates the sources of all corpora of [data.train] that have no `translate_with`. It may have any
    vocabulary and any shape, as only its translations are learned from.
    """

    teacher: Annotated[str | list[str], Affects()]
    """Bundle of the teacher, such as `runs/big/model`; of several each translates all sources, or as an `ensemble` they
    translate together. A relative path starts where those of data files do."""
    keep_original: Annotated[bool, Affects("text")] = False
    """Train on the original pairs too."""


@dataclass(frozen=True)
class Translated:
    """The models that translate a training corpus, and how."""

    key: str  # of the models, in the recipe
    models: list[str]  # names of bundles
    config: SyntheticConfig
    readable: tuple[int, ...]  # the sides that may be translated: 0 the source, 1 the target

    @property
    def section(self) -> str:
        """The section of `config`, in the recipe."""
        return "distillation" if self.key == TEACHER else self.key.replace("translate_with", "synthetic")

    @property
    def names(self) -> list[str]:
        """The names of all models, in the recipe, that of the scorer among them."""
        return [*self.models, *([self.config.score_with] if self.config.score_with else [])]

    @property
    def groups(self) -> list[list[str]]:
        """The models that translate together: all of an ensemble, or each by itself."""
        return [self.models] if self.config.ensemble else [[model] for model in self.models]


def names_of(value: str | list[str] | None) -> list[str]:
    """Return the names in the value of a key that takes one or several."""
    return [] if value is None else [value] if isinstance(value, str) else value
