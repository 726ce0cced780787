"""The alignment of pieces that follows from an alignment of words, as guided attention learns it."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

from nmt.alignment.words import Link, split_words
from nmt.data.encoding.tokenizer import SentencePieceModel, Tokenizer
from nmt.data.pairs import Pair

Rows = list[list[int]]
SPACE = "\u2581"  # the spelling of a space in a piece


def links_of_pieces(
    links: Sequence[Link], pair: Pair, ids: tuple[Sequence[int], Sequence[int]], models: tuple[SentencePieceModel, ...]
) -> list[Link]:
    """Return the links of the pieces of `pair`, given those of its words: each piece of a word has those of the word.

    There are none where a side has other characters or words than its line, as with unknown or byte pieces.
    """
    if not links:
        return []
    sides = []
    for line, pieces, model in zip(pair, ids, models, strict=True):
        found = pieces_of_words(line, model.normalize(line), model.pieces(pieces))
        if found is None:
            return []
        sides.append(found)
    return sorted({(i, j) for source, target in links for i in sides[0][source] for j in sides[1][target]})


def rows_of_links(
    links: Sequence[Sequence[Link]], pairs: Sequence[Pair], src: Rows, tgt: Rows, tokenizer: Tokenizer
) -> Rows:
    """Return the links of the pieces of each pair, given those of its words: source and target in turn."""
    sides, models = zip(src, tgt, strict=True), (tokenizer.source, tokenizer.target)
    rows = (links_of_pieces(*each, models) for each in zip(links, pairs, sides, strict=True))
    return [[*chain.from_iterable(row)] for row in rows]


def pieces_of_words(line: str, normal: str, pieces: Sequence[str]) -> list[range] | None:
    """Return the indices of the pieces of each word of `line`, whose normal form the `pieces` spell; None if not."""
    spans, letters = split_words(normal), [piece.replace(SPACE, "") for piece in pieces]
    is_visible = [not letter.isspace() for letter in normal]
    if len(spans) != len(split_words(line)) or "".join(letters) != "".join(_visible(normal, is_visible)):
        return None
    before = [0, *accumulate(is_visible)]  # characters before each place, spaces not counted
    ends = list(accumulate(map(len, letters)))
    found: list[range] = []
    first = 0
    for start, end in ((before[start], before[end]) for start, end in spans):
        while ends[first] <= start:
            first += 1
        last = first
        while ends[last] < end:
            last += 1
        free = found[-1].stop if found else 0
        while first > free and not letters[first - 1]:  # a space by itself belongs to the next word
            first -= 1
        found.append(range(first, last + 1))
    return found


def _visible(text: str, is_visible: Sequence[bool]) -> Iterator[str]:
    return (letter for letter, visible in zip(text, is_visible, strict=True) if visible)
