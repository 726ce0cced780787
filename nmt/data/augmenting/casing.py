"""Upper, lower and title case, as a language writes them."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from nmt.data.languages import scripts_of, standard_code

_DOTTED = frozenset({"az", "crh", "gag", "tr"})  # languages that have an i with a dot and one without
_UPPER_DOTTED = str.maketrans("i\u0131", "\u0130I")
_LOWER_DOTTED = str.maketrans("\u0130I", "i\u0131")
_CASED = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "DESERET", "GLAGOLITIC", "COPTIC", "ADLAM", "CHEROKEE"})
_ACCENT = re.compile("([\u0370-\u03ff\u1f00-\u1fff]\u0308?)\u0301")  # the tonos of a Greek letter
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def has_case(language: str) -> bool:
    """Return whether `language` is written in a script with capitals; True where its script is not known."""
    scripts = scripts_of(language)
    return not scripts or bool(scripts & _CASED)


@dataclass(frozen=True)
class Casing:
    """Changes the case of lines of `language`, a code as in a recipe; None is any language.

    German sharp s becomes SS, as most writers type it; in Turkish and Azerbaijani i becomes a capital with a dot; Greek
    capitals lose the accent. Matches of `kept`, such as symbols of the tokenizer, stay as they are.
    """

    language: str | None = None
    kept: re.Pattern[str] | None = None

    def upper(self, line: str) -> str:
        """Return `line` in capitals."""
        return self._outside(_upper_of(self.code), line)

    def lower(self, line: str) -> str:
        """Return `line` in lower case."""
        return self._outside(str.lower if self.code not in _DOTTED else _lower_dotted, line)

    def title(self, line: str) -> str:
        """Return `line` with a capital at the start of each word; other letters stay."""
        return self._outside(lambda text: _WORD.sub(lambda word: self._capitalized(word[0]), text), line)

    @property
    def code(self) -> str | None:
        return None if self.language is None else standard_code(self.language)

    def _capitalized(self, word: str) -> str:
        first = 2 if self.code == "nl" and word[:2] == "ij" else 1  # one letter to the Dutch
        start = word[:first].translate(_UPPER_DOTTED) if self.code in _DOTTED else word[:first]
        return (start.upper() if first == 2 else start.title()) + word[first:]

    def _outside(self, change: Callable[[str], str], line: str) -> str:
        """Change the parts of `line` that are not kept."""
        if self.kept is None:
            return change(line)
        parts, end = [], 0
        for match in self.kept.finditer(line):
            parts += [change(line[end : match.start()]), match[0]]
            end = match.end()
        return "".join([*parts, change(line[end:])])


def _upper_of(code: str | None) -> Callable[[str], str]:
    if code in _DOTTED:
        return lambda text: text.translate(_UPPER_DOTTED).upper()
    return _upper_greek if code == "el" else str.upper


def _upper_greek(text: str) -> str:
    letters = _ACCENT.sub(r"\1", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFC", letters).upper()


def _lower_dotted(text: str) -> str:
    return text.translate(_LOWER_DOTTED).lower()
