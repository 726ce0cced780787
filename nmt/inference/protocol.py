"""What every engine does: rows of ids in, hypotheses out. Free of torch, so that an engine may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from nmt.config.decoding import DecodingConfig, SamplingConfig

if TYPE_CHECKING:
    from torch import Tensor

Number = TypeVar("Number", float, "Tensor")

Matrix = list[list[float]]
"""Rows of numbers."""


@dataclass(frozen=True)
class Row:
    """One source to search for."""

    ids: list[int]
    """Its pieces, without EOS; at least one."""
    prefix: list[int] = field(default_factory=list)
    """The pieces that every hypothesis begins with."""

    def limit(self, decoding: DecodingConfig, longest: int) -> int:
        """Return the most pieces that a hypothesis may have, EOS included; `longest` is what the model can count."""
        length = len(self.ids) + decoding.max_extra_length
        if decoding.max_length_ratio is not None:
            length = min(length, math.ceil(len(self.ids) * decoding.max_length_ratio))
        return min(max(length, len(self.prefix)) + 1, longest)


def length_penalty(length: Number, alpha: float) -> Number:
    """Return lp of a hypothesis of `length` pieces, EOS included (Wu et al. 2016, eq. 14); a tensor will do too."""
    return ((5 + length) / 6) ** alpha


@dataclass(frozen=True)
class Hypothesis:
    """One finished translation."""

    ids: list[int]
    """Pieces, without EOS, the prefix among them."""
    score: float
    """Log-probability, EOS included, divided by the length penalty."""


@dataclass(frozen=True)
class Request:
    """How to search."""

    decoding: DecodingConfig
    n_best: int = 1
    """Hypotheses wanted of each row; at most the beam, any number of samples."""
    sampling: SamplingConfig | None = None
    """Draw `n_best` samples in place of the search."""


class Engine(Protocol):
    """A loaded model. All methods answer batch by batch, in order, and may work ahead."""

    @property
    def target_limit(self) -> int:
        """Longest target in pieces, EOS included."""

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        """Return for each row of each batch its hypotheses, best first; none where the model is no number."""

    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        """Return for each pair of source and target the log-probability of every target piece, EOS last."""

    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        """Return for each pair of source and target what each target piece attends to among the source's.

        A row a target piece, a column a source piece, EOS of neither; by the heads of decoder layer `layer`, from
        1, averaged. Raises UsageError where there is no such layer, or the engine cannot tell.
        """
