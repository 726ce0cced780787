"""The interface of inference engines: rows of ids in, hypotheses out. Free of torch, so that an engine may be too."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.data.encoding.batching import by_tokens
from nmt.data.encoding.trees import TreePieces
from nmt.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

Number = TypeVar("Number", float, "Tensor")
T = TypeVar("T")
R = TypeVar("R")
BATCH_TOKENS = {"cpu": 4096, "cuda": 16_384}
"""A step of the search takes a GPU as long for a few hundred sentences as for one."""
TASK_ROWS = {"cpu": 32, "cuda": 1024}
"""Rows of a task, small enough that other rows need not wait for long."""
Matrix = list[list[float]]
Pair = tuple[list[int], list[int]]  # ids of a source and of a target, both without EOS


ANYWHERE, JOINED, SENTENCE_START, NOWHERE = range(4)
"""Places where the search may put a spelling of a term: anywhere; behind a mark that no space follows, as a hyphen; at
the start of a sentence; nowhere but where the model puts it."""
BEGINS, ENDS, JOINS, OPENS = 1, 2, 4, 8
"""Bits of a piece: its first character goes on with the word before it; its last character is within a word; what is
`JOINED` may follow it; a sentence may begin after it."""


@dataclass(frozen=True)
class Need:
    """A term that every hypothesis is to hold, as words."""

    count: int  # how often
    spellings: tuple[tuple[tuple[int, ...], int], ...]
    """Pieces of each of its spellings with their place; any of them will do, and one is `ANYWHERE`."""

    @property
    def room(self) -> int:
        """Pieces of the shortest spelling that may be put anywhere."""
        return min(len(pieces) for pieces, place in self.spellings if place == ANYWHERE)


@dataclass(frozen=True)
class Row:
    """One source to translate."""

    ids: list[int]  # pieces of the source without EOS; at least one
    prefix: list[int] = field(default_factory=list)  # pieces with which every hypothesis begins
    forbidden: frozenset[int] = frozenset()  # pieces that no hypothesis holds, none of them in the prefix
    words: tuple[tuple[int, ...], ...] = ()  # of a tree, the pieces of each word
    needs: tuple[Need, ...] = ()  # terms that every hypothesis is to hold, which fit its limit
    avoided: tuple[tuple[int, ...], ...] = ()  # pieces of phrases that no hypothesis holds, but for those of a term

    def limit(self, decoding: DecodingConfig, longest: int) -> int:
        """Return the length limit of hypotheses in pieces, EOS included; `longest` is the limit of the model."""
        length = len(self.ids) + decoding.max_extra_length
        if decoding.max_length_ratio is not None:
            length = min(length, math.ceil(len(self.ids) * decoding.max_length_ratio))
        return min(max(length, len(self.prefix), least_tree(self.words)) + 1, longest)


def least_tree(words: Sequence[Sequence[int]]) -> int:
    """Return the pieces of the smallest tree over `words`, one bracket around them; 0 without words."""
    return sum(map(len, words)) + len(words) + 2 * bool(words)


def length_penalty(length: Number, alpha: float) -> Number:
    """Return the penalty of hypotheses of `length` pieces, EOS included (Wu et al. 2016, eq. 14)."""
    return ((5 + length) / 6) ** alpha


@dataclass(frozen=True)
class Hypothesis:
    """One finished translation."""

    ids: list[int]  # pieces without EOS, the prefix included
    score: float  # log-probability, EOS included, divided by the length penalty


@dataclass(frozen=True)
class Request:
    """Settings of a search."""

    decoding: DecodingConfig
    n_best: int = 1  # hypotheses wanted of each row; at most the beam size, or any number of samples
    sampling: SamplingConfig | None = None  # draw `n_best` samples instead of searching
    trees: TreePieces | None = None  # search among trees over the words of each row alone
    edges: bytes | None = None  # where rows have terms, the bits of each piece: `BEGINS` and so on


class Engine(Protocol):
    """A loaded model. All methods answer batch by batch, in order, and may work ahead.

    Threads may call them at the same time, but for those of `Workers`.
    """

    @property
    def target_limit(self) -> int:
        """Longest target in pieces, EOS included."""

    @property
    def batch_tokens(self) -> int:
        """Padded source tokens to search at once where `decoding.batch_tokens` leaves it open, see `BATCH_TOKENS`."""

    @property
    def task_rows(self) -> int:
        """Most rows to search at once where other rows may wait, see `TASK_ROWS`."""

    @property
    def workers(self) -> int:
        """Number of batches that are computed at the same time."""

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        """Return the hypotheses of each row of each batch, best first; none where the output is not a number."""

    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        """Return the log-probabilities of the target pieces of each pair, EOS last."""

    def attention(self, batches: Iterable[list[Pair]], layer: int | None) -> Iterator[list[Matrix]]:
        """Return the attention of the target pieces (rows) of each pair to its source pieces (columns), EOS left out.

        It is the mean over the heads of decoder layer `layer`, counted from 1. Raises UsageError where there is
        no such layer, or the engine does not provide attention.
        """


def by_batch(
    items: Sequence[T],
    lengths: Sequence[int],
    batch_tokens: int,
    run: Callable[[Iterable[list[T]]], Iterator[list[R]]],
    workers: int = 1,
) -> list[R]:
    """Pass `items` to `run` in batches of similar lengths; return the results in the order of the items."""
    batches = by_tokens(lengths, batch_tokens, workers)
    results: dict[int, R] = {}
    for batch, of_batch in zip(batches, run([items[i] for i in batch] for batch in batches), strict=True):
        results.update(zip(batch, of_batch, strict=True))
    return [results[index] for index in range(len(items))]


def nan_error() -> ArtifactError:
    return ArtifactError("the model's output is not a number", hint="its training diverged")
