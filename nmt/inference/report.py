"""The report on input lines that need attention and on translations that look wrong."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

LOOP, LOOP_PIECES = 4, 8
"""A hypothesis is a loop if it repeats up to LOOP_PIECES pieces LOOP times in a row, and its source does not."""
COPY_WORDS = 4  # a translation of at least this many words that equals its source is a copy; shorter ones may be names
WARNINGS = {
    "replaced": "input lines not UTF-8, each wrong byte now U+FFFD",
    "blank": "input lines blank, and so are their translations",
    "segmented": "input lines longer than the model's training lines, translated in segments",
    "cut": "input lines with a sentence too long for the model, split within it",
    "beyond": "matches to be protected beyond the model's placeholders, translated as any text",
    "unscored": "pairs with a side that is blank or too long for the model, not scored",
    "looping": "translations that repeat themselves",
    "emptied": "translations that are blank though their lines are not",
    "copied": "translations that copy their lines",
    "unrestored": "placeholders that could not be restored, their text is missing",
    "invented": "placeholders that stand for nothing, taken out of translations",
}
"""The kinds of lines in a report and their sentences, in order."""


@dataclass
class Report:
    """Line numbers, counted from 1, of input lines that need attention and of translations that look wrong.

    See `WARNINGS`; a line stands once for each match or placeholder in `beyond`, `unrestored` and `invented`.
    """

    lines: int = 0  # number of lines read
    replaced: list[int] = field(default_factory=list)  # set by the reader of the lines
    blank: list[int] = field(default_factory=list)
    segmented: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    beyond: list[int] = field(default_factory=list)
    unscored: list[int] = field(default_factory=list)
    looping: list[int] = field(default_factory=list)
    emptied: list[int] = field(default_factory=list)
    copied: list[int] = field(default_factory=list)
    unrestored: list[int] = field(default_factory=list)
    invented: list[int] = field(default_factory=list)

    def warnings(self) -> list[str]:
        """Return a sentence for each kind that occurred."""
        found = [(warning, getattr(self, kind)) for kind, warning in WARNINGS.items()]
        return [f"{warning}: {len(lines):,} ({list_lines(lines)})" for warning, lines in found if lines]

    def judge(self, number: int, source: str, translation: str, pieces: Sequence[str]) -> None:
        """Record line `number` if its `translation`, which consists of `pieces`, looks wrong."""
        if not translation.strip():
            self.emptied.append(number)
        elif translation == source.strip() and len(source.split()) >= COPY_WORDS:
            self.copied.append(number)
        elif has_loop(pieces) and not has_loop(source.split()) and not has_loop(source):
            self.looping.append(number)


def list_lines(lines: Sequence[int]) -> str:
    """Return the first ten distinct numbers of `lines` as text."""
    distinct = list(dict.fromkeys(lines))
    return f"line {', '.join(map(str, distinct[:10]))}{', ...' if len(distinct) > 10 else ''}"


def has_loop(pieces: Sequence[str]) -> bool:
    """Whether `pieces` repeat a sequence of up to LOOP_PIECES pieces LOOP times in a row."""
    return any(
        sum(1 for _ in run) >= (LOOP - 1) * size
        for size in range(1, LOOP_PIECES + 1)
        for same, run in itertools.groupby(map(str.__eq__, pieces, pieces[size:]))
        if same
    )
