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


READ = 5_000_000
"""Pairs of a corpus that are read, at most."""


SAMPLE = 50_000
"""First training pairs that are cleaned and encoded, and that a tokenizer is trained on: of each corpus its share."""


LEAST = 1000
"""Pairs of a corpus in that sample, where it has so many, however small its share is."""


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it."""

    level: Literal["OK", "warning", "error", "skipped"]
    found: str
    advice: str = ""
    error: NmtError | None = None
    """What the check raised."""

    def __str__(self) -> str:
        return f"{self.found} ({self.advice})" if self.advice else self.found


def judge(found: str, doubts: list[tuple[str, str]]) -> Finding:
    """Return OK with what was `found`, or the doubts about it, each with what to do, as a warning."""
    if not doubts:
        return Finding("OK", found)
    tips = dict.fromkeys(tip for _, tip in doubts)
    return Finding("warning", "; ".join([found, *(doubt for doubt, _ in doubts)]), "; ".join(tips))


@dataclass
class Case:
    """A recipe under examination: what the checks have found out for those after them."""

    pipeline: Run
    scratch: Path
    """A temporary folder, for all that is made."""
    left_out: list[str] = field(default_factory=list)
    """Dev and test sets that are yet to be fetched, by the names of `Run.corpora`."""
    pairs: dict[str, int] = field(default_factory=dict)
    """Pairs read of each corpus, by the names of `Run.corpora`."""
    seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Of each dev and test set: its sources, those that are in train, and those there with one of their targets."""
    sample: TextCounts = field(init=False)
    """The counts of `write_text`."""
    tokenizer: Tokenizer = field(init=False)
    train: PreparedPairs = field(init=False)
    """The sample's ids."""
    device: torch.device = field(init=False)
    trainer: Trainer = field(init=False)
    pass_tokens: int = 0
    """Padded tokens of a pass that fits into the memory and was tried."""

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.pipeline.recipe

    @property
    def plan(self) -> TextPlan:
        """What the text is made from, but for placeholders, which are known only with the tokenizer."""
        recipe, pipeline = self.recipe, self.pipeline
        return TextPlan(recipe.data, recipe.cleaning, recipe.languages, pipeline.root, pipeline.local)

    @property
    def sizes(self) -> dict[str, int]:
        """Pairs read of each training corpus, by its name in the recipe."""
        return {name.removeprefix("train."): count for name, count in self.pairs.items() if is_train(name)}

    @property
    def is_cut(self) -> bool:
        """Tell whether there may be more training pairs than were read."""
        return READ in self.sizes.values()

    @property
    def is_whole(self) -> bool:
        """Tell whether the sample is all of the training text."""
        return self.sample.funnel.read >= sum(self.sizes.values())

    @property
    def size(self) -> str:
        """Say what the sample is."""
        read, total = f"{self.sample.funnel.read:,}", f"{sum(self.sizes.values()):,}"
        if self.is_whole:
            return f"all {read} pairs"
        if len(self.sizes) == 1:
            return f"the first {read} of {total} pairs"
        return f"{read} of {total} pairs, the first of each corpus"

    @property
    def text(self) -> Path:
        """The sample as text, and dev and test."""
        return self.scratch / "text"

    @property
    def limits(self) -> list[int]:
        """The most pieces that a side of a training pair may have, EOS not counted; corpora may differ in it."""
        configs = [self.plan.cleaning_of(corpus) for corpus in self.recipe.data.train]
        return sorted({int(min(config.max_pieces or math.inf, self.recipe.model.max_length - 1)) for config in configs})

    def epoch_tokens(self) -> dict[str, tuple[float, float]]:
        """Reckon from the sample, for each training corpus, the target tokens of an epoch and the weight of its pairs.

        The sample holds more of small corpora, and what `data.temperature` gives depends on the sizes of all.
        """
        data, pairs = self.recipe.data, {}
        tokens = {}
        for name, size in self.sizes.items():
            scale = size / self.sample.funnels[name].read
            start, end = self.train.corpora.get(name, (0, 0))
            pairs[name] = round(scale * (end - start))
            tokens[name] = scale * float(self.train.tgt_lengths[start:end].sum())
        weights = data.weights(pairs)
        return {name: (weights[name] * count, weights[name]) for name, count in tokens.items()}


def is_train(name: str) -> bool:
    """Tell whether a name of `Run.corpora` is that of a training corpus."""
    return name.partition(".")[0] == "train"
