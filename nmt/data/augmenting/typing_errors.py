"""Typing errors: letters swapped, left out, doubled, or replaced by a neighbour on the keyboard of the language."""

import random
import re
from functools import cache

from nmt.data.languages import standard_code

SHARE = 0.1  # of the words that are long enough for an error; of a line at least one word
SHORTEST = 4  # letters of a word that may have an error; its first letter stays
_LONG_WORD = re.compile(rf"[^\W\d_]{{{SHORTEST},}}")
_QWERTY = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_QWERTZ = ("qwertzuiop\xfc", "asdfghjkl\xf6\xe4", "yxcvbnm")
_AZERTY = ("azertyuiop", "qsdfghjklm", "wxcvbn")
_RUSSIAN = (
    "\u0439\u0446\u0443\u043a\u0435\u043d\u0433\u0448\u0449\u0437\u0445\u044a",
    "\u0444\u044b\u0432\u0430\u043f\u0440\u043e\u043b\u0434\u0436\u044d",
    "\u044f\u0447\u0441\u043c\u0438\u0442\u044c\u0431\u044e",
)
_GREEK = (
    "\u03c2\u03b5\u03c1\u03c4\u03c5\u03b8\u03b9\u03bf\u03c0",
    "\u03b1\u03c3\u03b4\u03c6\u03b3\u03b7\u03be\u03ba\u03bb",
    "\u03b6\u03c7\u03c8\u03c9\u03b2\u03bd\u03bc",
)
_LAYOUTS = {**dict.fromkeys(("de", "hu", "cs", "sk", "sl"), _QWERTZ), "fr": _AZERTY, "el": _GREEK}
_LAYOUTS |= dict.fromkeys(("ru", "uk", "be", "bg"), _RUSSIAN)
"""The letters of the keys by row, of languages that do not type on QWERTY."""


def with_typing_errors(line: str, language: str | None, rng: random.Random, kept: re.Pattern[str] | None = None) -> str:
    """Return `line` with an error in a tenth of its words of four letters or more, at least in one.

    A line without such words stays as it is, and so do words within matches of `kept`.
    """
    spans = [match.span() for match in kept.finditer(line)] if kept else []
    words = [
        word
        for word in _LONG_WORD.finditer(line)
        if not any(start < word.end() and word.start() < end for start, end in spans)
    ]
    chosen = rng.sample(words, k=min(len(words), max(1, round(SHARE * len(words)))))
    for word in sorted(chosen, key=lambda match: -match.start()):  # from the end, where places stay the same
        line = line[: word.start()] + _mistyped(word[0], language, rng) + line[word.end() :]
    return line


def _mistyped(word: str, language: str | None, rng: random.Random) -> str:
    """Return `word` with one error, which changes it."""
    keys = neighbours(language)
    at = rng.randrange(1, len(word) - 1)
    one, two = word[at], word[at + 1]
    changes = [two, one + one + two]  # left out, doubled
    if one != two:
        changes.append(two + one)
    if beside := keys.get(one.lower()):
        key = rng.choice(beside)
        changes.append((key.upper() if one.isupper() else key) + two)
    return word[:at] + rng.choice(changes) + word[at + 2 :]


@cache
def neighbours(language: str | None) -> dict[str, str]:
    """Return the letters whose keys lie beside that of each letter, on the usual keyboard of `language`."""
    rows = _LAYOUTS.get(standard_code(language), _QWERTY) if language else _QWERTY
    found: dict[str, str] = {}
    for number, row in enumerate(rows):
        below = rows[number + 1] if number + 1 < len(rows) else ""
        for place, letter in enumerate(row):
            found[letter] = found.get(letter, "") + row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
            for other in below[max(place - 1, 0) : place + 1]:  # a row is shifted to the right by half a key
                found[letter] += other
                found[other] = found.get(other, "") + letter
    return found
