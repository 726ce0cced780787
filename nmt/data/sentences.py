"""Split a line into its sentences, in any language and without a model, so that equal lines split equally everywhere.

The rules are those of Unicode's default sentence boundaries (UAX #29), tailored: abbreviations, initials and ordinal
numbers end no sentence, and a quotation within a sentence does not either. A library for this splits within words, as
findings/sentencex_splits_words.sh shows.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import regex

from nmt.data.languages import standard_code

# Marks that end a sentence whether or not a space follows: those of the scripts that have marks of their own.
_OWN = r"[\p{STerm}\u037e\u17d4\u17d5\u0f0d\u0f0e--[.!?\u2024\u203c\u203d\u2047-\u2049\ufe52\u104a]]"
# A semicolon asks in Greek, a colon ends a sentence in Armenian.
_SPACED = r"[.!?\u2026\u2024\u203c\u203d\u2047-\u2049\ufe52]|(?<=\p{Greek}\s?);|(?<=\p{Armenian}\s?):"
_MARK = rf"(?:{_OWN}|{_SPACED})"
# Some quotation marks open or close by language: next to a word on their right they open.
_CLOSER = r"[\p{Pe}\u201d\u2019\u203a]|[\"'\u201c\u2018\xab\xbb](?!\w)|\s\xbb(?!\w)"
_END = regex.compile(rf"(?V1)(?P<marks>{_MARK}+)(?P<closers>(?:{_CLOSER})*)(?P<space>\s*)")
_NEXT = regex.compile(r"[\s\p{Ps}\p{Pi}\p{Pf}\p{Pd}\"'\xa1\xbf*\u2022]*(.?)", regex.DOTALL)
_OWN_MARK = regex.compile(rf"(?V1){_OWN}")
_WORD = regex.compile(r"(?:[\w\p{M}]|\.(?=[\w\p{M}]))+$")
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_SHORT = regex.compile(r"[\p{Lu}\p{Ll}\p{Lt}\p{Arabic}\p{Thai}]")  # one such letter before a full stop is an initial
_ROMAN = re.compile("[IVXLC]{1,6}")
_PERHAPS_MARK = re.compile("[.!?;:\u0300-\uffff]")  # ten times as fast as the exact pattern, and decides for most lines
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_LONGEST_WORD = 24  # characters looked at before a full stop


@cache
def abbreviations(language: str | None) -> dict[str, frozenset[str]]:
    """Read the abbreviations of a language, or of all languages, by their kind."""
    table: dict[str, dict[str, str]] = tomllib.loads(
        Path(__file__).with_name("abbreviations.toml").read_text(encoding="utf-8")
    )
    kinds = {key for of_language in table.values() for key in of_language}
    chosen = [table[key] for key in table if language in (None, key) or key == "any"]
    return {kind: frozenset(" ".join(each.get(kind, "") for each in chosen).split()) for kind in kinds}


@dataclass(frozen=True)
class SentenceSplitter:
    """Splits lines of `language`, a code as in a recipe; None is any language."""

    language: str | None = None

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        return abbreviations(None if self.language is None else standard_code(self.language))

    @cached_property
    def _has_ordinals(self) -> bool:
        """Whether a number with a full stop is an ordinal, as in German `am 3. Mai`."""
        return self.language is not None and standard_code(self.language) in self._known["ordinals"]

    def split(self, line: str) -> list[str]:
        """Return the sentences of `line`, each with the white space after it, so that they join to the line.

        A blank line is one sentence.
        """
        first = _PERHAPS_MARK.search(line)
        if first is None or not _LETTER_OR_DIGIT.search(line, first.end()):
            return [line]
        sentences: list[str] = []
        is_lower = line == line.lower()
        start = 0
        for mark in _END.finditer(line):
            if mark.end() < len(line) and self._ends(line, start, mark, is_lower=is_lower):
                sentences.append(line[start : mark.end()])
                start = mark.end()
        return _with_words([*sentences, line[start:]])

    def count(self, line: str) -> int:
        """Return the number of sentences of `line`."""
        return len(self.split(line))

    def _ends(self, line: str, start: int, mark: regex.Match[str], *, is_lower: bool) -> bool:
        """Whether the marks, with quotation marks and brackets after them, end the sentence that begins at `start`."""
        marks, closers, space = mark["marks"], mark["closers"], mark["space"]
        is_own = _OWN_MARK.search(marks) is not None
        following = _following(line, mark.end())
        if not space:
            if is_own:  # a quotation within a sentence goes on without a space; full-width decimals
                return not (closers and line[mark.end()].isalnum()) and not (marks == "\uff0e" and following.isdigit())
            return marks[-1] in "!?" and not closers and _UNSPACED.match(following) is not None
        if following in {",", ";", ":", "\u060c", "\u061b"}:
            return False
        if following.islower() and (closers or (marks.strip(".:\u2026") == "" and not is_lower)):
            return False
        if marks.strip(".\u2026"):
            return True
        if len(marks) > 1 or marks == "\u2026":
            return following.isupper() or following.isdigit() or is_lower
        return not self._is_abbreviated(line, start, mark.start(), following)

    def _is_abbreviated(self, line: str, start: int, end: int, following: str) -> bool:
        """Whether the full stop at `end`, in a sentence from `start`, belongs to the word before it alone."""
        before = _WORD.search(line[max(start, end - _LONGEST_WORD) : end])
        if before is None:
            return False
        word, at = before[0], end - len(before[0])
        if at > start and line[at - 1] in "/@=?&#":  # the end of an address
            return False
        *others, last = word.split(".")
        if word.lower() in self._known["final"]:
            return following.islower()
        if self._has_ordinals and _ROMAN.fullmatch(word):
            return True
        if last.isdigit():
            is_item = at - start < _LONGEST_WORD and not line[start:at].strip()  # the number of an item in a list
            return not others and ((is_item and len(last) <= 3) or (self._has_ordinals and len(last) <= 2))
        if max(map(len, word.split("."))) <= (2 if others else 1) and _SHORT.match(last):
            return True
        if last.lower() in self._known["before_number"]:
            return following.isdigit() or _ROMAN.fullmatch(following) is not None
        return last.lower() in self._known["titles"]


def _following(line: str, start: int) -> str:
    """Return the first character from `start` on that is no space, bracket, quotation mark or dash."""
    found = _NEXT.match(line, start)
    return found[1] if found else ""


def _with_words(sentences: list[str]) -> list[str]:
    """Join parts without a letter or digit to the sentence before them, or else after them."""
    joined: list[str] = []
    for sentence in sentences:
        if joined and not (any(map(str.isalnum, sentence)) and any(map(str.isalnum, joined[-1]))):
            joined[-1] += sentence
        else:
            joined.append(sentence)
    return joined
