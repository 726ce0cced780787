"""Terms with their translations in the source, between marks, as a model for terms has learned to read them."""

from collections.abc import Iterable, Sequence

from nmt.config.symbols import TERM_MARKS

_BEFORE, _BETWEEN, _BEHIND = TERM_MARKS


def annotated(text: str, terms: Iterable[tuple[int, int, str]]) -> str:
    """Return `text` with the translation of each of `terms` behind it, given as its characters and the translation.

    Terms do not overlap. What stands outside the annotations is in the pieces of a tokenizer what it is without them.

    >>> annotated("an old house", [(7, 12, "Haus")])
    'an old\u27e6term\u27e7 house\u27e6=\u27e7 Haus\u27e6/term\u27e7'
    """
    parts, end = [], 0
    for start, behind, translation in sorted(terms):
        before = start - 1 if text[:start].endswith(" ") else start  # the space is of the first piece of the term
        term = text[before:behind] if start else f" {text[:behind]}"
        parts += [text[end:before], _BEFORE, term, f"{_BETWEEN} {translation}{_BEHIND}"]
        end = behind
    return "".join([*parts, text[end:]])


def has_marks(text: str) -> bool:
    """Return whether `text` spells a mark."""
    return any(mark in text for mark in TERM_MARKS)


def read_through(pieces: Sequence[str], weights: Sequence[Sequence[float]]) -> tuple[list[str], list[list[float]]]:
    """Return the `pieces` of an annotated source without its annotations, and rows of attention, `weights`, over them.

    The weight of an annotation is added to that of the last piece of its term, and that of the mark before a term to
    its first piece.
    """
    owners: list[int] = []  # of each piece, the index of the piece that gets its weight
    kept: list[str] = []
    is_annotation = False
    for piece in pieces:
        is_annotation = is_annotation or piece == _BETWEEN
        owners.append(len(kept) - is_annotation)
        if not is_annotation and piece != _BEFORE:
            kept.append(piece)
        is_annotation = is_annotation and piece != _BEHIND
    rows = []
    for row in weights:
        sums = [0.0] * len(kept)
        for owner, weight in zip(owners, row, strict=True):
            sums[owner] += weight
        rows.append(sums)
    return kept, rows
