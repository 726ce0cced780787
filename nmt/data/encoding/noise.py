"""What other objectives than translation make of lines: corrupted ones to repair, prefixes to continue.

All is a function of seed, epoch and pair alone, so that a resumed run, and every rank, makes the same.
"""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain

import numpy as np

from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import DrawnPairs, Ids, MaskedPairs, Pairs
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID

MARKS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f")  # a piece that ends in one of them ends a sentence
KEPT, REPLACED = 0.1, 0.1  # shares of the pieces to predict that are no mask (Devlin et al. 2019, section 3.1)

Sides = tuple[list[Ids], list[Ids]]
Span = tuple[int, int]  # the first piece, and the end


class Draws:
    """A sequence of random numbers, by the one method of `random.Random` that never changes."""

    def __init__(self, key: str) -> None:
        self.random = random.Random(int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")).random

    def below(self, count: int) -> int:
        return int(self.random() * count)

    def chosen(self, count: int, of: int) -> list[int]:
        """Return `count` of the numbers below `of`, in order (Knuth, The Art of Computer Programming, 3.4.2, S)."""
        numbers: list[int] = []
        for number in range(of):
            if self.random() * (of - number) < count - len(numbers):
                numbers.append(number)
        return numbers

    def poisson(self, mean: float) -> int:
        """Return a number of the Poisson distribution (Knuth, 3.4.1, Q)."""
        number, product, least = 0, self.random(), math.exp(-mean)
        while product > least:
            number, product = number + 1, product * self.random()
        return number

    def rounded(self, value: float) -> int:
        """Return a neighbouring whole number, on average `value`."""
        whole = math.floor(value)
        return whole + (self.random() < value - whole)


@dataclass(frozen=True)
class Noise:
    """The choice of the spans of a row of ids that are masked."""

    share: float
    span_length: float
    sentence_share: float = 0.0
    ends: frozenset[int] = frozenset()  # the ids that end a sentence
    tags: frozenset[int] = frozenset()  # the ids that are never masked, at the beginning of a row

    def spans(self, ids: Sequence[int], draws: Draws) -> list[Span]:
        """Return the masked spans of `ids` in order: at least one where there is a piece that is no tag."""
        begin = next((place for place, piece in enumerate(ids) if piece not in self.tags), len(ids))
        spans = self._gap_sentences(ids, begin, draws)
        gone = {place for span in spans for place in range(*span)}
        free = [place for place in range(begin, len(ids)) if place not in gone]
        for start, end in self._arranged(len(free), draws):
            places = free[start:end]
            cuts = [at for at in range(1, len(places)) if places[at] != places[at - 1] + 1]  # around a sentence
            for first, last in zip([0, *cuts], [*cuts, len(places)], strict=True):
                spans.append((places[first], places[last - 1] + 1))
        return sorted(spans)

    def _gap_sentences(self, ids: Sequence[int], begin: int, draws: Draws) -> list[Span]:
        """Return the sentences that are masked whole, at most all but one."""
        if not self.sentence_share:
            return []
        ends = [place + 1 for place in range(begin, len(ids) - 1) if ids[place] in self.ends]
        sentences = list(zip([begin, *ends], [*ends, len(ids)], strict=True))
        count = min(draws.rounded(self.sentence_share * len(sentences)), len(sentences) - 1)
        return [sentences[number] for number in draws.chosen(count, len(sentences))]

    def _arranged(self, length: int, draws: Draws) -> list[Span]:
        """Return spans of `length` pieces that have the share together, every arrangement being as likely."""
        masked = min(length, max(1, round(self.share * length)))
        sizes: list[int] = []
        left = masked
        while left:
            sizes.append(min(left, 1 + draws.poisson(self.span_length - 1)))
            left -= sizes[-1]
        spans: list[Span] = []
        grown = 0  # pieces that the spans so far have besides their first ones
        for place, size in zip(draws.chosen(len(sizes), length - masked + len(sizes)), sizes, strict=True):
            spans.append((place + grown, place + grown + size))
            grown += size - 1
        return spans


class Corruption(ABC):
    """An objective, as what it makes of pairs."""

    @abstractmethod
    def apply(self, sides: Sides, indices: Ints, epoch: int) -> Pairs:
        """Return the pairs, numbered from 0, that are learned of the ids `sides` of the pairs `indices` in `epoch`."""


@dataclass(frozen=True)
class Denoising(Corruption):
    """A line to rebuild from its corruption (Lewis et al. 2020), or its masked spans alone (Raffel et al. 2020)."""

    noise: Noise
    masks: Sequence[int]  # the ids of the masks
    seed: int
    longest: int  # pieces of a side, EOS not counted
    predicts_spans: bool = False

    def apply(self, sides: Sides, indices: Ints, epoch: int) -> Pairs:
        """Corrupt the source of each pair; the target is that of the pair, or the spans."""
        rows = [
            self.corrupted(src.tolist(), tgt.tolist(), Draws(f"{self.seed} {epoch} {index} noise"))
            for src, tgt, index in zip(*sides, indices.tolist(), strict=True)
        ]
        columns: list[list[Ids]] = [[np.array(row[side], np.int64) for row in rows] for side in range(2)]
        return DrawnPairs(*columns)

    def corrupted(self, src: list[int], tgt: list[int], draws: Draws) -> tuple[list[int], list[int]]:
        """Return the corrupted line, and what is to be predicted from it."""
        spans = self.noise.spans(src, draws)
        if not self.predicts_spans:
            return _replaced(src, spans, [self.masks[0]] * len(spans)), tgt
        spans = [spans[number] for number in draws.chosen(min(len(spans), len(self.masks)), len(spans))]
        while sum(1 + end - start for start, end in spans) > self.longest:
            spans.pop(draws.below(len(spans)))
        parts = ([mask, *src[slice(*span)]] for mask, span in zip(self.masks, spans, strict=False))
        return _replaced(src, spans, self.masks), list(chain.from_iterable(parts))


def _replaced(ids: list[int], spans: Sequence[Span], masks: Sequence[int]) -> list[int]:
    """Return `ids` with each of `spans` replaced by its mask."""
    result, begin = list[int](), 0
    for (start, end), mask in zip(spans, masks, strict=False):
        result += [*ids[begin:start], mask]
        begin = end
    return result + ids[begin:]


@dataclass(frozen=True)
class LanguageModel(Corruption):
    """A line after an empty source, or its rest after a prefix of any length (Raffel et al. 2020, section 3.2)."""

    seed: int
    is_cut: bool

    def apply(self, sides: Sides, indices: Ints, epoch: int) -> Pairs:
        """Cut the target of each pair."""
        lines = sides[1]  # in the normal form of what is written
        cuts = [0] * len(lines)
        if self.is_cut:
            keys = (f"{self.seed} {epoch} {index} cut" for index in indices.tolist())
            cuts = [Draws(key).below(len(line)) for key, line in zip(keys, lines, strict=True)]
        return DrawnPairs(
            [line[:cut] for line, cut in zip(lines, cuts, strict=True)],
            [line[cut:] for line, cut in zip(lines, cuts, strict=True)],
        )


@dataclass(frozen=True)
class Masking(Corruption):
    """Masked pieces to predict at their places, of a line or of both sides of a pair in one sequence.

    Of the pieces to predict most are masks, some others drawn at random, and some unchanged (Devlin et al. 2019); those
    of a pair can be predicted from its other side too (Conneau & Lample 2019, section 3.3).
    """

    noise: Noise
    mask: int
    pieces: Sequence[int]  # the ids that replace others
    seed: int
    lines: Sequence[Span]
    """The pairs that are a line twice, of which the sequence has one: the first pair of each corpus, and its end."""

    def apply(self, sides: Sides, indices: Ints, epoch: int) -> Pairs:
        """Mask a sequence of each pair."""
        rows = []
        for src, tgt, index in zip(*sides, indices.tolist(), strict=True):
            draws = Draws(f"{self.seed} {epoch} {index} noise")
            is_line = any(start <= index < end for start, end in self.lines)
            parts = [tgt.tolist()] if is_line else [src.tolist(), tgt.tolist()]
            rows.append(self.masked(parts, draws))
        return MaskedPairs(rows)

    def masked(self, parts: Sequence[list[int]], draws: Draws) -> tuple[list[int], list[int]]:
        """Return the corrupted sequence of `parts`, each with EOS, and the labels: padding where none is predicted."""
        ids: list[int] = []
        labels: list[int] = []
        for number, part in enumerate(parts):
            frame = [BOS_ID] if number else []
            chosen = {place for span in self.noise.spans(part, draws) for place in range(*span)}
            seen = [self.shown(piece, draws) if place in chosen else piece for place, piece in enumerate(part)]
            wanted = [piece if place in chosen else PAD_ID for place, piece in enumerate(part)]
            ids += [*frame, *seen, EOS_ID]
            labels += [*(PAD_ID for _ in frame), *wanted, PAD_ID]
        if labels.count(PAD_ID) == len(labels):
            labels[-1] = EOS_ID  # blank lines, which dev may have
        return ids, labels

    def shown(self, piece: int, draws: Draws) -> int:
        """Return the piece that stands where `piece` is to be predicted."""
        kind = draws.random()
        if kind < KEPT:
            return piece
        return self.pieces[draws.below(len(self.pieces))] if kind < KEPT + REPLACED else self.mask
