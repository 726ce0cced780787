"""From attention over pieces to an alignment of words."""

from __future__ import annotations

from nmt.inference.protocol import Matrix

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


def align_segments(segments: list[tuple[Matrix, list[str], list[str]]], begun: int) -> list[tuple[int, int]]:
    """Return the word alignment of a line, whose segments follow each other on both sides after `begun` source words.

    Each is the attention, the pieces of the source and those of the target, as `align_words` takes them.
    """
    pairs: list[tuple[int, int]] = []
    source_words, target_words = begun, 0
    last = SPACE
    for attention, source, target in segments:
        sizes, aligned = align_words(attention, source, target)
        if not last.endswith(SPACE) and not source[0].startswith(SPACE):
            source_words -= 1  # a sentence that was split within a word
        last = source[-1]
        pairs += [(source_words + i, target_words + j) for i, j in aligned]
        source_words, target_words = source_words + sizes[0], target_words + sizes[1]
    return pairs


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
