"""From attention over pieces to an alignment of words."""

from __future__ import annotations

from nmt.inference.engine import Matrix

SPACE = "\u2581"
"""How a piece spells a space."""


def align_words(
    attention: Matrix, source: list[str], target: list[str]
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Return how many words `source` and `target` have, and the pairs of words, from 0, that belong together.

    `attention` has a row for each target piece and a column for each source piece. Each target word belongs to
    the source word that its pieces attend to most, all together; a source word may have none, or several. Words
    are what spaces separate.
    """
    source_words, source_count = number_words(source)
    target_words, target_count = number_words(target)
    totals = [[0.0] * source_count for _ in range(target_count)]
    for row, target_word in zip(attention, target_words, strict=True):
        for weight, source_word in zip(row, source_words, strict=True):
            if target_word < target_count and source_word < source_count:
                totals[target_word][source_word] += weight
    pairs = [(row.index(max(row)), word) for word, row in enumerate(totals) if row]
    return (source_count, target_count), sorted(pairs)


def number_words(pieces: list[str]) -> tuple[list[int], int]:
    """Return the word, from 0, that each of `pieces` belongs to, and how many words there are.

    Spaces belong to the word after them; those at the end have a number that no word has.
    """
    numbers = []
    count = 0  # words that have ended
    begun = False
    for piece in pieces:
        if begun and piece.startswith(SPACE):
            count, begun = count + 1, False
        numbers.append(count)
        begun = begun or piece.strip(SPACE) != ""
    return numbers, count + begun
