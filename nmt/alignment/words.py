"""The words that are aligned: runs of letters and digits, and punctuation marks, as spans of a line's characters."""

import re
from collections.abc import Iterable, Sequence
from functools import cache

import regex

Span = tuple[int, int]
"""The first character of a word, and the one behind its last."""
Link = tuple[int, int]
"""A source word and a target word that are aligned, counted from 0."""
SPACED = re.compile(r"\S+")
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without spaces between words, whose characters are words here."""


@cache
def _word() -> regex.Pattern[str]:
    letters = r"\p{L}\p{M}\p{N}_"
    return regex.compile(
        r"\u27e6\d+\u27e7"  # a placeholder
        r"|\p{N}+(?:[.,:]\p{N}+)+"  # 3.50, 10:30
        rf"|[{UNSPACED}]\p{{M}}*"
        rf"|[[{letters}]--[{UNSPACED}]]+(?:['\u2019](?=\p{{L}}))?"  # l'|homme, don'|t
        r"|([^\s\x1c-\x1f])\1*",  # a mark, or a run of one, such as ...; those four are spaces for `str.split` alone
        regex.V1,
    )


def split_words(line: str) -> list[Span]:
    """Return the words of `line`, in their order: of "Isn't it?" `Isn'`, `t`, `it`, `?`.

    White space alone belongs to no word, and a word holds none.
    """
    return [match.span() for match in _word().finditer(line)]


def folded_words(line: str) -> list[str]:
    """Return the words of `line` as they are compared: without differences of case."""
    return [line[start:end].casefold() for start, end in split_words(line)]


def spaced_links(links: Iterable[Link], source: str, target: str) -> list[Link]:
    """Return `links` of `split_words` as links of words between white space, as `str.split` finds them.

    A punctuation mark links only words that have no letters and digits: the full stops of two sentences do not link the
    words before them.
    """
    first, second = (_Spaced(line) for line in (source, target))
    found = set()
    for i, j in links:
        one, other = first.owners[i], second.owners[j]
        if (first.is_text[i] or not first.has_text[one]) and (second.is_text[j] or not second.has_text[other]):
            found.add((one, other))
    return sorted(found)


class _Spaced:
    """The words of a line between white space, and which of them holds each word of `split_words`."""

    def __init__(self, line: str) -> None:
        ends = [match.end() for match in SPACED.finditer(line)]
        self.owners: list[int] = []
        self.is_text: list[bool] = []
        self.has_text = [False] * len(ends)
        owner = 0
        for start, end in split_words(line):
            while ends[owner] < end:
                owner += 1
            self.owners.append(owner)
            self.is_text.append(any(map(str.isalnum, line[start:end])))
            self.has_text[owner] |= self.is_text[-1]


def words_within(spans: Sequence[Span], start: int, end: int) -> range:
    """Return the indices of the words of which a character lies from `start` to `end`."""
    held = [index for index, (first, last) in enumerate(spans) if first < end and start < last]
    return range(held[0], held[-1] + 1) if held else range(0)
