"""Neighbouring pairs joined to one, as the sentences of a paragraph."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.data.augmenting.final_marks import has_final_mark
from nmt.data.languages import scripts_of
from nmt.data.pairs import Pair
from nmt.data.placeholders import SPELLED, placeholder

PIECE = 3  # characters of a piece, at least, on average, where words are spaced; elsewhere 1


@dataclass(frozen=True)
class Joiner:
    """Joins pairs of two languages.

    A side gets at most `max_characters`, and no more than `max_pieces` pieces as far as their characters tell; the
    tokenizer is trained later. The line that results has at most `placeholders` of them.
    """

    languages: tuple[str, str]
    max_characters: int
    max_pieces: int
    placeholders: int = 0

    def join(self, pairs: Sequence[Pair]) -> Pair | None:
        """Return the first of `pairs` joined with those after it that fit; None where none does.

        All but the last must end in a mark on both sides, or a reader could not tell where one begins.
        """
        source, target = pairs[0]
        count = 1
        for pair in pairs[1:]:
            if not (has_final_mark(source) and has_final_mark(target)):
                break
            numbers = [_highest(line) for line in (source, target)]
            following = [_shifted(line, max(numbers) + 1) for line in pair]
            longer = [
                one + _space(language) + other
                for one, other, language in zip((source, target), following, self.languages, strict=True)
            ]
            if not self._fits(longer):
                break
            source, target = longer
            count += 1
        return (source, target) if count > 1 else None

    def _fits(self, lines: Sequence[str]) -> bool:
        if max(map(_highest, lines)) >= self.placeholders:
            return False
        limits = [self.max_pieces * (1 if _is_unspaced(language) else PIECE) for language in self.languages]
        return all(len(line) <= min(limit, self.max_characters) for line, limit in zip(lines, limits, strict=True))


def _highest(line: str) -> int:
    """Return the highest number of a placeholder in `line`; -1 where there is none."""
    return max((int(match[1:-1]) for match in SPELLED.findall(line)), default=-1)


def _shifted(line: str, by: int) -> str:
    """Return `line` with the numbers of its placeholders raised."""
    return re.sub(SPELLED, lambda match: placeholder(int(match[0][1:-1]) + by), line) if by else line


def _is_unspaced(language: str) -> bool:
    """Return whether no space follows a sentence, as in Chinese and Japanese."""
    scripts = scripts_of(language)
    return "IDEOGRAPHIC" in scripts and "HANGUL" not in scripts


def _space(language: str) -> str:
    return "" if _is_unspaced(language) else " "
