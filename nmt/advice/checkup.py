"""A recipe under examination, and a finding about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nmt.config.recipe import Recipe
from nmt.data.cleaning.corpus_text import TextPlan
from nmt.data.cleaning.funnel import TextCounts
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import NmtError
from nmt.pipeline.run import Run

if TYPE_CHECKING:
    import torch

    from nmt.training.loop import Trainer

READ = 5_000_000  # maximum number of pairs that are read of a corpus


@dataclass(frozen=True)
class Finding:
    """The result of a check, and advice."""

    level: Literal["OK", "warning", "error", "skipped"]
    message: str
    advice: str = ""
    error: NmtError | None = None  # the error that the check raised

    @classmethod
    def of(cls, message: str, problems: list[tuple[str, str]]) -> Finding:
        """Return OK, or a warning where there are `problems`, each with its advice."""
        advice = dict.fromkeys(tip for _, tip in problems)
        message = "; ".join([message, *(problem for problem, _ in problems)])
        return cls("warning" if problems else "OK", message, "; ".join(advice))

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


@dataclass
class Checkup:
    """A recipe under examination, and the facts that earlier checks leave for later ones."""

    run: Run
    scratch: Path  # a temporary folder for all files that the checks write
    left_out: list[str] = field(default_factory=list)
    """Dev and test sets that are not downloaded yet, by the names of `Run.corpora`."""
    pairs: dict[str, int] = field(default_factory=dict)  # pairs read of each corpus, by the names of `Run.corpora`
    leaks: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Of each dev and test set: all sources, those that are in train, and those in train with the same target."""
    sample: TextCounts = field(init=False)  # the counts of the cleaned sample, as `write_text` returns them
    tokenizer: Tokenizer = field(init=False)
    train: PreparedPairs = field(init=False)  # the ids of the sample
    device: torch.device = field(init=False)
    trainer: Trainer = field(init=False)
    micro_batch: int = 0  # padded tokens of the micro-batch that was tried and fits into the memory

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def plan(self) -> TextPlan:
        """The plan of the text, without the number of placeholders, which is known only with the tokenizer."""
        recipe, run = self.recipe, self.run
        return TextPlan(recipe.data, recipe.cleaning, recipe.languages, run.root, run.local)

    @property
    def sizes(self) -> dict[str, int]:
        """Pairs read of each training corpus, by its name in the recipe."""
        return {name.partition(".")[2] or name: count for name, count in self.pairs.items() if is_train(name)}

    @property
    def is_cut(self) -> bool:
        """Whether a training corpus may have more pairs than were read."""
        return READ in self.sizes.values()

    @property
    def is_whole(self) -> bool:
        """Whether the sample is all of the training text."""
        return self.sample.funnel.read >= sum(self.sizes.values())

    @property
    def size(self) -> str:
        """The size of the sample, in words."""
        read, total = f"{self.sample.funnel.read:,}", f"{sum(self.sizes.values()):,}"
        if self.is_whole:
            return f"all {read} {self.recipe.data.units}"
        if len(self.sizes) == 1:
            return f"the first {read} of {total} {self.recipe.data.units}"
        return f"{read} of {total} {self.recipe.data.units}, the first of each corpus"

    @property
    def text(self) -> Path:
        """The folder of the sample, dev and test as text."""
        return self.scratch / "text"

    @property
    def limits(self) -> list[int]:
        """The limits for the pieces of a side of a training pair, without EOS; corpora may differ in them."""
        configs = [self.plan.cleaning_of(corpus) for corpus in self.recipe.data.training_corpora]
        return sorted({int(min(config.max_pieces or math.inf, self.recipe.model.max_length - 1)) for config in configs})

    def epoch_tokens(self) -> dict[str, tuple[float, float]]:
        """Estimate, for each training corpus, the target tokens of an epoch and the weight of its pairs.

        The sample holds a larger share of small corpora, and `data.temperature` weighs them by the sizes of all.
        """
        pairs, tokens = {}, {}
        for name, size in self.sizes.items():
            scale = size / self.sample.funnels[name].read
            start, end = self.train.corpora.get(name, (0, 0))
            pairs[name] = round(scale * (end - start))
            tokens[name] = scale * float(self.train.tgt_lengths[start:end].sum())
        weights = self.recipe.data.weights(pairs)
        return {name: (weights[name] * count, weights[name]) for name, count in tokens.items()}


def is_train(name: str) -> bool:
    """Return whether a name of `Run.corpora` is a training corpus."""
    return name.partition(".")[0] in ("train", "monolingual")
