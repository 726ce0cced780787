"""Keys that are equal for equal, or nearly equal, sides and pairs."""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from nmt.data.pairs import Pair


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


def side_key(text: str) -> int:
    """Return a 64-bit key of a side, the same in every process; surrounding white space is ignored."""
    return _hash(text.strip())


def pair_key(source: str, target: str) -> int:
    """Return a 64-bit key of a pair, the same in every process; white space around a side is ignored."""
    return _hash(f"{source.strip()}\n{target.strip()}")  # a line holds no "\n", so the text stands for one pair alone


class _LettersAndMarks(dict[int, int | None]):
    """A table for `str.translate` that keeps letters and their marks; filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        self[code] = kept = code if unicodedata.category(chr(code))[0] in "LM" else None
        return kept


_LETTERS_AND_MARKS = _LettersAndMarks()
_NO_ASCII_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def normalized(text: str) -> str:
    """Reduce a side to its letters: NFKC, caseless, without digits, punctuation, symbols and white space.

    A side without letters is stripped alone, so that 3.14 does not equal 2 + 2.
    """
    if text.isascii():  # twice as fast, with the same result
        letters = text.lower().encode("ascii").translate(None, _NO_ASCII_LETTERS).decode("ascii")
    else:
        letters = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS_AND_MARKS)
    return letters or text.strip()


def near_side_key(text: str) -> int:
    """Return a 64-bit key of a side; case, digits, punctuation, symbols and white space are ignored."""
    return _hash(normalized(text))


def near_key(source: str, target: str) -> int:
    """Return a 64-bit key of a pair; case, digits, punctuation, symbols and white space are ignored."""
    return _hash(f"{normalized(source)}\n{normalized(target)}")


@dataclass(frozen=True)
class HeldOut:
    """Keys of the pairs of dev and test, which must not occur in the training text."""

    pairs: frozenset[int] = frozenset()  # by `pair_key`
    near: frozenset[int] = frozenset()  # by `near_key`
    near_sources: frozenset[int] = frozenset()  # source sides by `near_side_key`
    near_targets: frozenset[int] = frozenset()  # target sides by `near_side_key`

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> Self:
        keys = [
            (pair_key(source, target), near_key(source, target), near_side_key(source), near_side_key(target))
            for source, target in pairs
        ]
        return cls(*map(frozenset, zip(*keys, strict=True)))

    def holds(self, source: str, target: str) -> bool:
        return pair_key(source, target) in self.pairs

    def nearly_holds(self, source: str, target: str) -> bool:
        """Return whether the pair equals one but for case, digits, punctuation, symbols and white space."""
        # Few sources occur there, so the keys of the targets are seldom computed.
        return near_side_key(source) in self.near_sources and near_key(source, target) in self.near

    def nearly_holds_side(self, source: str, target: str) -> bool:
        """Return whether a side nearly occurs in dev or test, whatever the other side."""
        return near_side_key(source) in self.near_sources or near_side_key(target) in self.near_targets
