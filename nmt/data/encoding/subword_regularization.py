"""Splits of a line drawn at random: BPE-dropout, and samples of a unigram model.

A split is a function of model, text, alpha and seed, and of nothing else. SentencePiece draws too, but from a seed of
the whole process: whoever sets it in another thread changes the draws, SentencePiece 0.2.1 takes it up only once a
thread, and what a number of the generator becomes is left to the C++ library. In a unigram model it also splits
user-defined symbols. Here words that come again are looked up, since no piece of nmt's models spans two; so it is
about as fast.
"""

from __future__ import annotations

import heapq
import math
import random
import re
import struct
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, chain, groupby
from typing import Any

NORMAL, USER_DEFINED, BYTE = 1, 4, 6
"""Types of pieces in SentencePiece's format."""
UNIGRAM = 1
"""Type of a model there."""

KEPT = 50_000
"""Splits, or tables, that are kept, some 20 or 140 MB; when there are more, all are forgotten."""
SHORT = 24
"""Only words of so many characters are kept; longer ones hardly come again."""
UNKNOWN_PENALTY = 10.0
"""How much less than the rarest piece an unknown character scores in a unigram model, as in SentencePiece."""

_WORD = re.compile("▁[^▁]*|[^▁]+")

Chance = Callable[[], float]
"""Draws a number of [0, 1)."""


@dataclass
class Pieces:
    """What a SentencePiece model knows, but for how it normalises."""

    unknown: int
    """Id of what has no piece."""
    is_unigram: bool = True
    ids: dict[str, int] = field(default_factory=dict)
    """Of what was learned."""
    scores: dict[str, float] = field(default_factory=dict)
    """Logarithms of probabilities in a unigram model; in a BPE model the first merge has the highest."""
    symbols: dict[str, int] = field(default_factory=dict)
    """Ids of the user-defined symbols."""
    single_bytes: dict[str, int] = field(default_factory=dict)
    """Ids of the pieces of single bytes, if there are any."""

    @classmethod
    def read(cls, model: bytes, unknown: int) -> Pieces:
        """Read a model file's bytes, a message of protobuf, which nmt does without."""
        pieces = cls(unknown)
        homes = {NORMAL: pieces.ids, USER_DEFINED: pieces.symbols, BYTE: pieces.single_bytes}
        number = 0
        for key, value in _fields(memoryview(model)):
            if key == 1:
                piece = dict(_fields(value))
                text, kind = bytes(piece[1]).decode(), piece.get(3, NORMAL)
                if kind in homes:
                    homes[kind][text] = number
                if kind == NORMAL:
                    [pieces.scores[text]] = struct.unpack("<f", piece.get(2, bytes(4)))
                number += 1
            elif key == 2:
                pieces.is_unigram = dict(_fields(value)).get(3, UNIGRAM) == UNIGRAM
        return pieces

    def spell(self, text: str) -> list[int]:
        """Return the ids of one piece, or of one character that is none."""
        if text in self.ids:
            return [self.ids[text]]
        return [self.single_bytes[f"<0x{byte:02X}>"] for byte in text.encode()] if self.single_bytes else [self.unknown]


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Walk over a message of protobuf: the number of each field, and its value, an int or bytes."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = varint() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            yield key >> 3, message[place : place + size]
            place += size


class Sampler:
    """Splits normalised text by chance, as one model can."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.method = Unigram(pieces) if pieces.is_unigram else BpeDropout(pieces)
        # The longest symbol that stands at a place is taken, and the text goes on behind it.
        longest_first = sorted(pieces.symbols, key=len, reverse=True)
        self._symbol = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None

    def sample(self, text: str, alpha: float, seed: int) -> list[int]:
        """Return the ids of one split of `text`, in which U+2581 spells the space; symbols stay whole.

        Of a BPE model `alpha` is the chance of a merge to be left out; of a unigram model a split is drawn by its
        probability to the power of `alpha`.
        """
        parts = self._symbol.split(text) if self._symbol else [text]
        words = [
            word for place, part in enumerate(parts) for word in ([part] if place % 2 else _WORD.findall(part)) if word
        ]
        # Of the module `random`, no more than this is promised to give the same for a seed in every version.
        ids = self.method.sample(words, alpha, random.Random(seed).random)
        if self.pieces.single_bytes or self.pieces.unknown not in ids:
            return ids
        # As in SentencePiece, unknown characters in a row are unknown once.
        return list(chain.from_iterable([key] if key == self.pieces.unknown else run for key, run in groupby(ids)))


class BpeDropout:
    """Merges that are left out at random (Provilkov et al. 2020, section 3.2).

    As in SentencePiece, a pair has its chance when it is the best there is; left out, it stays so until one of the two
    has become another. So the next pair to leave out is some number of pairs away, whatever the words between.
    """

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self._kept: dict[tuple[str, tuple[int, ...]], tuple[list[int], int]] = {}

    def sample(self, words: list[str], alpha: float, chance: Chance) -> list[int]:
        """Return the ids of `words`, a share `alpha` of the merges left out."""
        scale = 1 / math.log1p(-alpha)

        def gap() -> int:
            """Draw how many pairs are merged before one is left out: geometric."""
            return int(math.log(1 - chance()) * scale)

        coming = gap()  # the next one left out, counted from where the word begins

        def is_left_out(pair: int) -> bool:
            nonlocal coming
            if pair < coming:
                return False
            coming += 1 + gap()
            return True

        ids: list[int] = []
        for word in words:
            if word in self.pieces.symbols:
                ids.append(self.pieces.symbols[word])
                continue
            if len(word) > SHORT:
                split, pairs = self._merge(word, is_left_out)
            else:
                left_out: tuple[int, ...] = ()
                split, pairs = self._look_up(word, left_out)
                while coming < pairs:
                    left_out += (coming,)
                    coming += 1 + gap()
                    split, pairs = self._look_up(word, left_out)
            coming -= pairs
            ids += split
        return ids

    def _look_up(self, word: str, left_out: tuple[int, ...]) -> tuple[list[int], int]:
        """Return `_merge` of a word, done once."""
        key = word, left_out
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[key] = self._merge(word, left_out.__contains__)
        return found

    def _merge(self, word: str, is_left_out: Callable[[int], bool]) -> tuple[list[int], int]:
        """Merge the characters of `word`, best pair first, but for pairs left out; they are numbered as they come.

        Returns the ids, and how many pairs there were.
        """
        scores = self.pieces.scores
        parts = list(word)  # a part that another has taken in is ""
        before, after = list(range(-1, len(parts) - 1)), list(range(1, len(parts) + 1))
        heap: list[tuple[float, int, int, str]] = []

        def consider(left: int, right: int) -> None:
            """Let two neighbours wait for their turn, if they make a piece."""
            if left >= 0 and right < len(parts):
                both = parts[left] + parts[right]
                if both in scores:
                    heapq.heappush(heap, (-scores[both], left, right, both))

        for left in range(len(parts) - 1):
            consider(left, left + 1)
        pairs = 0
        while heap:
            _, left, right, both = heapq.heappop(heap)
            if not (parts[left] and parts[right]) or len(parts[left]) + len(parts[right]) != len(both):
                continue  # one of the two has become another
            pairs += 1
            if is_left_out(pairs - 1):
                continue
            parts[left], parts[right] = both, ""
            after[left] = after[right]
            if after[right] < len(parts):
                before[after[right]] = left
            consider(before[left], left)
            consider(left, after[left])
        return list(chain.from_iterable(self.pieces.spell(part) for part in parts if part)), pairs


Choices = tuple[list[float], list[int]]
"""The pieces that may end at one place of a word: their probabilities added up, and where they start."""


class Unigram:
    """Splits drawn from all there are, by probability to the power of alpha (Kudo 2018, section 3.2)."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self._beginnings = {piece[:end] for piece in pieces.ids for end in range(1, len(piece) + 1)}
        self._unknown_score = min(pieces.scores.values(), default=0.0) - UNKNOWN_PENALTY
        self._kept: dict[tuple[str, float], list[Choices]] = {}

    def sample(self, words: list[str], alpha: float, chance: Chance) -> list[int]:
        """Return the ids of `words`, each split anew."""
        ids: list[int] = []
        for word in words:
            if word in self.pieces.symbols:
                ids.append(self.pieces.symbols[word])
                continue
            choices = self._look_up(word, alpha)
            drawn: list[str] = []
            end = len(word)
            while end:
                sums, starts = choices[end]
                start = starts[bisect(sums, chance())]
                drawn.append(word[start:end])
                end = start
            for piece in reversed(drawn):
                ids += self.pieces.spell(piece)
        return ids

    def _look_up(self, word: str, alpha: float) -> list[Choices]:
        """Return `_choices` of a word; of a short one, found once."""
        if len(word) > SHORT:
            return self._choices(word, alpha)
        found = self._kept.get((word, alpha))
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[word, alpha] = self._choices(word, alpha)
        return found

    def _choices(self, word: str, alpha: float) -> list[Choices]:
        """Weigh the pieces that may end at each place of `word`, 0 to its length, by all splits of what is before."""
        scores = self.pieces.scores
        logs: list[list[float]] = [[] for _ in range(len(word) + 1)]
        starts: list[list[int]] = [[] for _ in range(len(word) + 1)]
        found: list[Choices] = [([], [])]
        total = 0.0  # logarithm of the weight of all splits up to `start`
        for start in range(len(word) + 1):
            if start:
                most = max(logs[start])
                sums = list(accumulate(math.exp(log - most) for log in logs[start]))
                # The last one has to be 1: rounded to less, it could be drawn past.
                found.append(([*(part / sums[-1] for part in sums[:-1]), 1.0], starts[start]))
                total = most + math.log(sums[-1])
            for end in range(start + 1, len(word) + 1):
                piece = word[start:end]
                if piece in scores or end == start + 1:
                    logs[end].append(total + alpha * scores.get(piece, self._unknown_score))
                    starts[end].append(start)
                if piece not in self._beginnings:
                    break
        return found
