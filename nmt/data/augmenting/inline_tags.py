"""Placeholders around aligned words of both sides, as protected inline tags have them."""

import random
import re

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.pairs import Pair
from nmt.data.placeholders import SPELLED, placeholder
from nmt.data.terms import is_unspaced

LONGEST = 5  # most source words between two tags
ALONE = 0.25  # share of the pairs that get one placeholder before a word, such as a line break, instead of two


def with_inline_tags(aligned: AlignedPair, most: int, rng: random.Random) -> Pair | None:
    """Return the pair with two placeholders around a phrase on both sides, or one before a word.

    All placeholders of the pair are numbered anew, in their order in the source. None where the pair has no aligned
    phrase, or the line would have more than `most` placeholders.
    """
    used = set(SPELLED.findall(aligned.pair[0])) | set(SPELLED.findall(aligned.pair[1]))
    count = 1 if rng.random() < ALONE else 2
    if len(used) + count > most or not (phrases := _phrases(aligned)):
        return None
    (first, last), (low, high) = rng.choice(phrases)
    marks = _unused(used, count)
    sides = [
        _marked(line, spans[start][0], spans[end][1], marks)
        for line, spans, (start, end) in zip(aligned.pair, aligned.spans, ((first, last), (low, high)), strict=True)
    ]
    order = {name: placeholder(number) for number, name in enumerate(dict.fromkeys(SPELLED.findall(sides[0])))}
    source, target = (SPELLED.sub(lambda match: order.get(match[0], match[0]), side) for side in sides)
    return source, target


def _phrases(aligned: AlignedPair) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the aligned phrases of up to LONGEST source words, whose ends are words and no marks or placeholders."""
    found = []
    words = [
        re.search(r"\w", aligned.word(0, index)) and not SPELLED.fullmatch(aligned.word(0, index))
        for index in range(len(aligned.spans[0]))
    ]
    for first in range(len(words)):
        for last in range(first, min(first + LONGEST, len(words))):
            if words[first] and words[last] and (span := aligned.aligned_span(first, last)):
                found.append(((first, last), span))
    return found


def _unused(used: set[str], count: int) -> list[str]:
    names = (placeholder(number) for number in range(len(used) + count))
    return [name for name in names if name not in used][:count]


def _marked(line: str, start: int, end: int, marks: list[str]) -> str:
    """Return `line` with one mark before `start`, and another behind `end`."""
    if len(marks) == 1:
        space = "" if is_unspaced(line[start]) else " "
        return f"{line[:start]}{marks[0]}{space}{line[start:]}"
    return f"{line[:start]}{marks[0]}{line[start:end]}{marks[1]}{line[end:]}"
