"""Keys by which equal and nearly equal pairs are found."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from nmt.data.pairs import Pair


def side_key(text: str) -> int:
    """Name a side by 64 bits, the same in every process; white space around it does not count."""
    return int.from_bytes(hashlib.blake2b(text.strip().encode("utf-8"), digest_size=8).digest(), "little")


def pair_key(source: str, target: str) -> int:
    """Name a pair by 64 bits, the same in every process; white space around a side does not count."""
    # A line holds no "\n", so the joined text names the pair.
    text = f"{source.strip()}\n{target.strip()}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


class _LettersAndMarks(dict[int, int | None]):
    """For `str.translate`: keep letters and the marks that belong to them; filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        kept = code if unicodedata.category(chr(code))[0] in "LM" else None
        self[code] = kept
        return kept


_LETTERS_AND_MARKS = _LettersAndMarks()


_NO_ASCII_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def normalized(text: str) -> str:
    """Reduce a side to its letters: NFKC, caseless, without digits, punctuation, symbols and white space.

    A side without letters stays as it is, stripped, so that 3.14 does not equal 2 + 2.
    """
    if text.isascii():
        # Twice as fast as what the others go through, with the same result.
        letters = text.lower().encode("ascii").translate(None, _NO_ASCII_LETTERS).decode("ascii")
    else:
        letters = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS_AND_MARKS)
    return letters or text.strip()


def near_side_key(text: str) -> int:
    """Name a side by 64 bits; case, digits, punctuation, symbols and white space do not count."""
    return side_key(normalized(text))


def near_key(source: str, target: str) -> int:
    """Name a pair by 64 bits; case, digits, punctuation, symbols and white space do not count."""
    return pair_key(normalized(source), normalized(target))


@dataclass(frozen=True)
class HeldOut:
    """What must not stand in the training text: keys of the pairs of dev and test."""

    pairs: frozenset[int] = frozenset()
    """By `pair_key`."""
    near: frozenset[int] = frozenset()
    """By `near_key`."""
    near_sources: frozenset[int] = frozenset()
    """Source sides by `near_side_key`."""
    near_targets: frozenset[int] = frozenset()
    """Target sides by `near_side_key`."""

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> Self:
        """Take the keys of `pairs`, which are read once."""
        keys = [
            (pair_key(source, target), near_key(source, target), near_side_key(source), near_side_key(target))
            for source, target in pairs
        ]
        return cls(*(frozenset(column) for column in zip(*keys, strict=True))) if keys else cls()


def source_key(source: str, _target: str) -> int:
    """Name the source of a pair by 64 bits."""
    return side_key(source)


def target_key(_source: str, target: str) -> int:
    """Name the target of a pair by 64 bits."""
    return side_key(target)
