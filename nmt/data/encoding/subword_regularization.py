"""Subword regularization: random segmentations of a line by BPE-dropout or unigram sampling.

A segmentation is a function of model, text, alpha and seed alone. SentencePiece draws segmentations too, but from a
seed of the whole process, which other threads may set and SentencePiece 0.2.1 reads once a thread, with numbers that
depend on the C++ library; and in a unigram model it splits user-defined symbols. Here repeated words are looked up,
since no piece of nmt's models spans two words, so the speed is about the same.
"""

import heapq
import math
import random
import re
import struct
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, chain, groupby
from typing import get_args

from nmt.config.tokenizer import Rule
from nmt.data.encoding.normalization import one_of

NORMAL, USER_DEFINED, BYTE = 1, 4, 6  # types of pieces in SentencePiece's format
UNIGRAM, WORD = 1, 3  # types of models in that format
KEPT = 50_000  # cached segmentations, or tables, of some 20 or 140 MB
SHORT = 24  # characters of the longest words that are cached; longer ones are seldom repeated
UNKNOWN_PENALTY = 10.0  # score of the rarest piece minus that of an unknown character in SentencePiece's unigram model
_WORD = re.compile("▁[^▁]*|[^▁]+")
Chance = Callable[[], float]  # draws a number from [0, 1)


@dataclass
class Pieces:
    """The pieces of a SentencePiece model."""

    unknown: int  # id of the unknown piece
    is_unigram: bool = True
    is_word: bool = False
    ids: dict[str, int] = field(default_factory=dict)  # ids of the learned pieces
    scores: dict[str, float] = field(default_factory=dict)
    """Scores of the learned pieces: log-probabilities, or in a BPE model the highest for the first merge."""
    symbols: dict[str, int] = field(default_factory=dict)  # ids of the user-defined symbols
    single_bytes: dict[str, int] = field(default_factory=dict)  # ids of single bytes; empty without `byte_fallback`

    @classmethod
    def read(cls, model: bytes, unknown: int) -> "Pieces":
        """Read the bytes of a model file, a protobuf message.

        SentencePiece's Python API does not tell user-defined symbols from learned pieces, and its own reader of the
        format needs the package `protobuf`, which it does not install.
        """
        pieces = cls(unknown)
        ids_of = {NORMAL: pieces.ids, USER_DEFINED: pieces.symbols, BYTE: pieces.single_bytes}
        number = 0
        for key, _, content in message_fields(memoryview(model)):
            if key == 1:
                text, score, kind = "", 0.0, NORMAL
                for name, value, part in message_fields(content):
                    if name == 1:
                        text = bytes(part).decode()
                    elif name == 2:
                        [score] = struct.unpack("<f", part)
                    elif name == 3:
                        kind = value
                if kind in ids_of:
                    ids_of[kind][text] = number
                if kind == NORMAL:
                    pieces.scores[text] = score
                number += 1
            elif key == 2:
                types = [value for name, value, _ in message_fields(content) if name == 3]
                pieces.is_unigram, pieces.is_word = all(kind == UNIGRAM for kind in types), WORD in types
        return pieces

    def renumber(self, id_of: Callable[[str], int], symbols: Sequence[str]) -> None:
        """Give all pieces the ids that `id_of` says, and take `symbols` for those of the user."""
        self.symbols = dict.fromkeys(symbols, self.unknown)
        for table in (self.ids, self.symbols, self.single_bytes):
            table.update({piece: id_of(piece) for piece in table})

    def spell(self, text: str) -> list[int]:
        """Return the id of a piece, or the ids that spell a character without a piece."""
        if text in self.ids:
            return [self.ids[text]]
        return [self.single_bytes[f"<0x{byte:02X}>"] for byte in text.encode()] if self.single_bytes else [self.unknown]


def message_fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield each field of a protobuf message: its number, its value if it is an integer, its content if it is not."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint(), message[:0]
        else:
            size = varint() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            yield key >> 3, 0, message[position : position + size]
            position += size


def rule_of(model: bytes) -> str | None:
    """Return the name of the normalization rule in the bytes of a model file, if nmt knows the rule."""
    specs = [content for key, _, content in message_fields(memoryview(model)) if key == 3]
    names = [bytes(name).decode() for spec in specs for key, _, name in message_fields(spec) if key == 1]
    return names[-1] if names and names[-1] in get_args(Rule) else None


class SubwordRegularizer:
    """Draws segmentations of normalised text for one model."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.method: Words | Unigram | BpeDropout = Words(pieces)
        if not pieces.is_word:
            self.method = Unigram(pieces) if pieces.is_unigram else BpeDropout(pieces)
        self._symbol = one_of(pieces.symbols)

    def split(self, text: str) -> list[str]:
        """Split `text` at all symbols: text and symbols by turns."""
        return self._symbol.split(text) if self._symbol else [text]

    def sample(self, parts: Sequence[str], alpha: float, seed: int) -> list[int]:
        """Return the ids of a random segmentation of text and symbols, which take turns; U+2581 spells the space.

        An empty symbol is a boundary within a text.

        In a BPE model `alpha` is the probability of dropping a merge; in a unigram model a segmentation is drawn in
        proportion to its probability to the power of `alpha`.
        """
        symbols = self.pieces.symbols
        words: list[str | int] = []
        for index, part in enumerate(parts):
            words += _WORD.findall(part) if index % 2 == 0 else [symbols[part]] if part else []
        # `random()` alone is guaranteed to return the same numbers for a seed in every version of Python.
        ids = self.method.sample(words, alpha, random.Random(seed).random)
        if self.pieces.single_bytes or self.pieces.unknown not in ids:
            return ids
        # As in SentencePiece, a run of unknown characters is one unknown piece.
        return list(chain.from_iterable([key] if key == self.pieces.unknown else run for key, run in groupby(ids)))


class Words:
    """The only segmentation by a model of words."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces

    def sample(self, words: list[str | int], *_: object) -> list[int]:
        """Return the id of each word; `words` holds ids where symbols stand."""
        ids, unknown = self.pieces.ids, self.pieces.unknown
        return [word if isinstance(word, int) else ids.get(word, unknown) for word in words]


class BpeDropout:
    """BPE merges that are dropped at random (Provilkov et al. 2020, section 3.2).

    As in SentencePiece, a pair may be dropped when it is the best of the word; it stays dropped until one of its parts
    has been merged with another. So the distance to the next dropped pair is geometric, across words.
    """

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self._look_up = lru_cache(KEPT)(lambda word, dropped: self._merge(word, dropped.__contains__))

    def sample(self, words: list[str | int], alpha: float, chance: Chance) -> list[int]:
        """Return the ids of `words`, or ids of symbols, with a share `alpha` of the merges dropped."""
        scale = 1 / math.log1p(-alpha)

        def gap() -> int:
            """Draw the number of pairs that are merged before the next one is dropped."""
            return int(math.log(1 - chance()) * scale)

        coming = gap()  # the next dropped pair, counted from the start of the word

        def is_dropped(pair: int) -> bool:
            nonlocal coming
            if pair < coming:
                return False
            coming += 1 + gap()
            return True

        ids: list[int] = []
        for word in words:
            if isinstance(word, int):
                ids.append(word)
                continue
            if len(word) > SHORT:
                split, pairs = self._merge(word, is_dropped)
            else:
                dropped: tuple[int, ...] = ()
                split, pairs = self._look_up(word, dropped)
                while coming < pairs:
                    dropped += (coming,)
                    coming += 1 + gap()
                    split, pairs = self._look_up(word, dropped)
            coming -= pairs
            ids += split
        return ids

    def _merge(self, word: str, is_dropped: Callable[[int], bool]) -> tuple[list[int], int]:
        """Merge the characters of `word`, best pair first, but for dropped pairs, which are numbered in that order.

        Returns the ids and the number of pairs.
        """
        scores = self.pieces.scores
        parts = list(word)  # a part becomes "" when it is merged into the one before it
        before, after = list(range(-1, len(parts) - 1)), list(range(1, len(parts) + 1))
        heap: list[tuple[float, int, int, str]] = []

        def consider(left: int, right: int) -> None:
            """Queue two neighbours if they form a piece."""
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
                continue  # one of the two has been merged with another
            pairs += 1
            if is_dropped(pairs - 1):
                continue
            parts[left], parts[right] = both, ""
            after[left] = after[right]
            if after[right] < len(parts):
                before[after[right]] = left
            consider(before[left], left)
            consider(left, after[left])
        return list(chain.from_iterable(self.pieces.spell(part) for part in parts if part)), pairs


Choices = tuple[list[float], list[int]]
"""The pieces that may end at a position of a word: their cumulative probabilities, and their starts."""


class Unigram:
    """Segmentations drawn in proportion to their probability to the power of alpha (Kudo 2018, section 3.2)."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self._beginnings = {piece[:end] for piece in pieces.ids for end in range(1, len(piece) + 1)}
        self._unknown_score = min(pieces.scores.values(), default=0.0) - UNKNOWN_PENALTY
        self._look_up = lru_cache(KEPT)(self._choices)

    def sample(self, words: list[str | int], alpha: float, chance: Chance) -> list[int]:
        """Return the ids of `words`, or ids of symbols, each segmented at random."""
        ids: list[int] = []
        for word in words:
            if isinstance(word, int):
                ids.append(word)
                continue
            choices = (self._look_up if len(word) <= SHORT else self._choices)(word, alpha)
            drawn: list[str] = []
            end = len(word)
            while end:
                sums, starts = choices[end]
                start = starts[bisect(sums, chance())]
                drawn.append(word[start:end])
                end = start
            ids += chain.from_iterable(map(self.pieces.spell, reversed(drawn)))
        return ids

    def _choices(self, word: str, alpha: float) -> list[Choices]:
        """Weigh the pieces that may end at each position of `word`, by all segmentations of the text before them."""
        scores = self.pieces.scores
        logs: list[list[float]] = [[] for _ in range(len(word) + 1)]
        starts: list[list[int]] = [[] for _ in range(len(word) + 1)]
        found: list[Choices] = [([], [])]
        total = 0.0  # log of the weight of all segmentations up to `start`
        for start in range(len(word) + 1):
            if start:
                most = max(logs[start])
                sums = list(accumulate(math.exp(log - most) for log in logs[start]))
                # The last must be 1: if rounded to less, a draw could exceed it.
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
