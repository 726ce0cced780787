"""The text that a normal form changes: counted, with the commonest examples."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from nmt.data.encoding.normalization import nfc, single_spaces

COMPARED, LONGEST = 300, 400  # changed lines of which examples are taken, and characters of the longest of them
SHOWN = 3  # examples


@dataclass(frozen=True)
class Changes:
    """The lines that a normal form changes."""

    lines: int = 0  # all lines
    changed: int = 0  # lines of which more changes than runs of spaces and what NFC composes
    composed: int = 0  # lines that only NFC changes
    not_nfc: int = 0  # lines that are not in NFC afterwards
    numbers: int = 0  # changed lines that hold digits as fractions, superscripts and the like
    examples: tuple[str, ...] = ()  # the commonest changes, such as `'½' to '1⁄2'`

    def of(self, lines: str) -> str:
        """Return the number of changed `lines`, which names them, and the examples."""
        examples = f", for example {', '.join(self.examples)}" if self.examples else ""
        return f"{self.changed:,} of {self.lines:,} {lines}{examples}"


def count_changes(lines: Iterable[str], normalize: Callable[[str], str]) -> Changes:
    """Count the `lines` that `normalize` changes."""
    total = changed = composed = not_nfc = numbers = compared = 0
    fragments = Counter[tuple[str, str]]()
    for line in lines:
        total += 1
        if line.isascii() and line.isprintable():
            continue
        given, result = single_spaces(line), single_spaces(normalize(line))
        not_nfc += nfc(result) != result
        if given == result:
            continue
        if nfc(given) == result:
            composed += 1
            continue
        changed += 1
        numbers += any(unicodedata.category(character) == "No" for character in given)
        if compared < COMPARED and len(given) <= LONGEST:
            compared += 1
            fragments.update(replaced(nfc(given), result))
    examples = tuple(f"{shown(old)} to {shown(new)}" for (old, new), _ in fragments.most_common(SHOWN))
    return Changes(total, changed, composed, not_nfc, numbers, examples)


def replaced(given: str, result: str) -> list[tuple[str, str]]:
    """Return each different part of `given` with what stands in its place in `result`."""
    matcher = SequenceMatcher(None, given, result, autojunk=False)
    return [(given[a:b], result[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]


def shown(text: str) -> str:
    """Quote `text`, or name its characters where they cannot be seen by themselves."""
    if text and all(c.isprintable() and c != " " and not unicodedata.combining(c) for c in text):
        return f"'{text}'"
    names = ["a space" if c == " " else f"U+{ord(c):04X}" for c in text]
    return " ".join(names) or "nothing"
