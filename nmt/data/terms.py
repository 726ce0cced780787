"""Phrases in a text: where they stand in it as words."""

import re
from collections.abc import Callable, Iterable, Sequence

_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f]")
_LETTER = re.compile(r"\w|[\u0300-\u036f\u0900-\u0dff]")  # vowel signs of Indic scripts are no \w
_HYPHEN = re.compile("[-\u2010\u2011]")
_ENDS = ".!?\u2026:;"  # of a sentence, or of what a capital follows
_OPENING = " \t\"'\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e([\u00bf\u00a1-\u2013\u2014*#"
At = Callable[[str, int], str | None]


def is_unspaced(char: str) -> bool:
    """Return whether `char` is of a script that is written without spaces between words."""
    return _UNSPACED.match(char) is not None


def in_word(char: str) -> bool:
    """Return whether `char` belongs to a word that ends at a space or a mark; of unspaced scripts none does."""
    return _LETTER.match(char) is not None and not is_unspaced(char)


def divides(text: str, at: int) -> bool:
    """Return whether a word may begin or end before the character `at` of `text`."""
    return not (0 < at < len(text) and in_word(text[at - 1]) and in_word(text[at]))


def is_hyphenated(text: str, start: int, end: int) -> bool:
    """Return whether a hyphen joins the words from `start` to `end` of `text` with others."""
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    return (len(before) == 2 and in_word(before[0]) and _HYPHEN.match(before[1]) is not None) or (
        len(after) == 2 and _HYPHEN.match(after[0]) is not None and in_word(after[1])
    )


def cased(phrase: str) -> str:
    """Return `phrase` as it begins a sentence."""
    return phrase[:1].upper() + phrase[1:]


class Finder:
    """Finds phrases in texts, the longest first, where they do not overlap."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_word: dict[str, list[str]] = {}  # phrases by their first word, the longest first
        for phrase in sorted(set(phrases), key=len, reverse=True):
            self._by_word.setdefault(first_word(phrase, 0), []).append(phrase)

    def at(self, text: str, start: int) -> str | None:
        """Return the longest phrase that stands at `start` of `text`, where a word may begin."""
        phrases = self._by_word.get(first_word(text, start), ())
        return next((one for one in phrases if text.startswith(one, start) and divides(text, start + len(one))), None)

    def find(self, text: str) -> list[tuple[int, str]]:
        """Return the phrases in `text` with their starts, in order."""
        return self._find(text, self.at)

    def count(self, text: str) -> int:
        """Return the number of places where a phrase stands in `text`."""
        return len(self.find(text))

    @staticmethod
    def _find(text: str, at: At) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        end = 0
        for start in range(len(text)):
            if start >= end and divides(text, start) and (phrase := at(text, start)):
                found.append((start, phrase))
                end = start + len(phrase)
        return found


class SourceFinder(Finder):
    """Finds the terms of a source.

    They are written as in the text; where a sentence begins the case of the first letter does not count, and in a text
    of capitals no case does. A word that a hyphen joins with another is a part of that one.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        super().__init__(phrases)
        lowered = {phrase.lower(): phrase for phrase in reversed(phrases)}
        self._lowered, self._as_written = Finder(lowered), lowered

    def find(self, text: str) -> list[tuple[int, str]]:
        lower = text.lower()
        if text.isupper() and len(lower) == len(text):
            found = self._find(text, lambda _, start: self._whole(lower, start, self._lowered))
            return [(start, self._as_written[phrase]) for start, phrase in found]
        return self._find(text, self._cased_at)

    def _cased_at(self, text: str, start: int) -> str | None:
        if phrase := self._whole(text, start, self):
            return phrase
        lower = text[start].lower()
        if lower == text[start] or len(lower) > 1 or not begins_sentence(text, start):
            return None
        return self._whole(f"{text[:start]}{lower}{text[start + 1 :]}", start, self)

    @staticmethod
    def _whole(text: str, start: int, finder: Finder) -> str | None:
        phrase = finder.at(text, start)
        return None if phrase is None or is_hyphenated(text, start, start + len(phrase)) else phrase


def begins_sentence(text: str, start: int) -> bool:
    """Return whether a sentence begins at the character `start` of `text`."""
    before = text[:start].rstrip(_OPENING)
    return not before or before[-1] in _ENDS


def first_word(text: str, start: int) -> str:
    """Return the word that begins at `start` of `text`, or the one character that belongs to no word."""
    end = start
    while end < len(text) and in_word(text[end]):
        end += 1
    return text[start : max(end, start + 1)]
