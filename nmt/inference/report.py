"""The report on input lines that need attention and on translations that look wrong."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

LOOP, LOOP_PIECES = 4, 8
"""A hypothesis is a loop if it repeats up to LOOP_PIECES pieces LOOP times in a row, and its source does not."""
COPY_WORDS = 4
"""A translation of at least this many words that equals its source is a copy; shorter ones may be names."""


@dataclass
class Report:
    """Line numbers, counted from 1, of input lines that need attention and of translations that look wrong."""

    lines: int = 0
    """Number of lines read."""
    blank: list[int] = field(default_factory=list)
    """Lines without a piece; their translation is blank."""
    segmented: list[int] = field(default_factory=list)
    """Lines too long for the model, translated in segments that end with sentences."""
    cut: list[int] = field(default_factory=list)
    """Segmented lines with a sentence that is itself too long, and is split."""
    beyond: list[int] = field(default_factory=list)
    """Lines with more text to protect than the model has placeholders, once for each unprotected match."""
    unscored: list[int] = field(default_factory=list)
    """Pairs with a side that is blank or too long for the model."""
    looping: list[int] = field(default_factory=list)
    """Translations that repeat themselves."""
    emptied: list[int] = field(default_factory=list)
    """Blank translations of lines that are not blank."""
    copied: list[int] = field(default_factory=list)
    """Translations that equal their source."""
    unrestored: list[int] = field(default_factory=list)
    """Translations that lack protected text, once for each placeholder that the model left out."""
    invented: list[int] = field(default_factory=list)
    """Translations with placeholders that stood for nothing and were removed, once for each."""
    replaced: list[int] = field(default_factory=list)
    """Lines that were not UTF-8, their wrong bytes now U+FFFD; set by the reader of the lines."""

    def warnings(self, limit: int) -> list[str]:
        """Return a sentence for each kind that occurred; `limit` is the longest source in pieces."""
        kinds = (
            (self.replaced, "input lines not UTF-8, each wrong byte now U+FFFD"),
            (self.blank, "input lines blank, and so are their translations"),
            (self.segmented, f"input lines longer than {limit} pieces, and translated in segments"),
            (self.cut, f"input lines with a sentence longer than {limit} pieces, split within it"),
            (self.beyond, "matches to be protected beyond the model's placeholders, translated as any text"),
            (self.unscored, "pairs with a side that is blank or too long for the model, not scored"),
            (self.looping, "translations that repeat themselves"),
            (self.emptied, "translations that are blank though their lines are not"),
            (self.copied, "translations that copy their lines"),
            (self.unrestored, "placeholders that could not be restored, their text is missing"),
            (self.invented, "placeholders that stand for nothing, taken out of translations"),
        )
        return [f"{kind}: {len(lines):,} ({list_lines(lines)})" for lines, kind in kinds if lines]

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
