"""From attention over pieces to an alignment of words."""

from nmt.inference.protocol import Matrix

SPACE = "\u2581"  # the spelling of a space in a piece


def align_words(
    attention: Matrix, source: list[str], target: list[str]
) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Return the numbers of words in `source` and `target`, and the aligned pairs of words, counted from 0.

    `attention` has a row for each target piece and a column for each source piece. A target word is aligned to the
    source word to which its pieces attend most in total; a source word may have none, or several. Words are
    separated by spaces.
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


def align_segments(segments: list[tuple[Matrix, list[str], list[str]]], first: int) -> list[tuple[int, int]]:
    """Return the word alignment of a line from its segments, the first of which begins at source word `first`.

    A segment is its attention, source pieces and target pieces, as in `align_words`.
    """
    pairs: list[tuple[int, int]] = []
    source_words, target_words, last = first, 0, SPACE
    for attention, source, target in segments:
        sizes, aligned = align_words(attention, source, target)
        if not last.endswith(SPACE) and not source[0].startswith(SPACE):
            source_words -= 1  # the segment continues a word
        last = source[-1]
        pairs += [(source_words + i, target_words + j) for i, j in aligned]
        source_words, target_words = source_words + sizes[0], target_words + sizes[1]
    return pairs


def number_words(pieces: list[str]) -> tuple[list[int], int]:
    """Return the index of the word of each piece, and the number of words.

    Spaces belong to the next word; the index of trailing spaces is the number of words.
    """
    numbers = []
    count = 0  # completed words
    in_word = False
    for piece in pieces:
        if in_word and piece.startswith(SPACE):
            count, in_word = count + 1, False
        numbers.append(count)
        in_word = in_word or piece.strip(SPACE) != ""
    return numbers, count + in_word
