"""What is said of lines that were not simply translated, and of translations that look wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

LOOP, LOOP_PIECES = 4, 8
"""A hypothesis that says up to so many pieces so many times on end is a loop, unless its source does."""
COPY_WORDS = 4
"""A translation of so many words that equals its source is a copy; shorter ones may be names."""


@dataclass
class Report:
    """Counts of the lines that were not simply translated, and of translations that look wrong; lines from 1."""

    lines: int = 0
    blank: list[int] = field(default_factory=list)
    """Lines without a piece: their translation is blank."""
    segmented: list[int] = field(default_factory=list)
    """Lines longer than the model takes, translated in segments at sentence ends."""
    cut: list[int] = field(default_factory=list)
    """Of those, lines with a sentence that is too long by itself, split within it."""
    beyond: list[int] = field(default_factory=list)
    """Lines with more to protect than the model has placeholders, once for each match that stayed."""
    unscored: list[int] = field(default_factory=list)
    """Pairs with a blank side, or one longer than the model takes."""
    looping: list[int] = field(default_factory=list)
    """Translations that say the same over and over."""
    emptied: list[int] = field(default_factory=list)
    """Blank translations of lines that are not."""
    copied: list[int] = field(default_factory=list)
    """Translations that equal their source."""
    unrestored: list[int] = field(default_factory=list)
    """Translations that lack protected text, once for each placeholder that the model did not say."""
    invented: list[int] = field(default_factory=list)
    """Translations with placeholders that stood for nothing and were taken out, once for each."""
    replaced: list[int] = field(default_factory=list)
    """Lines that were not UTF-8, with U+FFFD where they were not; whoever reads them knows."""

    def warnings(self, limit: int) -> list[str]:
        """Write each count that is not 0 as a sentence; `limit` is the longest source in pieces."""
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
        return [f"{what}: {len(lines):,} ({listed(lines)})" for lines, what in kinds if lines]

    def judge(self, number: int, source: str, translation: str, pieces: Sequence[str]) -> None:
        """Note line `number` where its translation, which the model said in `pieces`, looks wrong."""
        if not translation.strip():
            self.emptied.append(number)
        elif translation == source.strip() and len(source.split()) >= COPY_WORDS:
            self.copied.append(number)
        elif loops(pieces) and not loops(source.split()) and not loops(list(source)):
            self.looping.append(number)


def listed(lines: Sequence[int]) -> str:
    """Name the first ten of `lines`, each once."""
    distinct = list(dict.fromkeys(lines))
    return f"line {', '.join(map(str, distinct[:10]))}{', ...' if len(distinct) > 10 else ''}"


def loops(pieces: Sequence[str]) -> bool:
    """Tell whether `pieces` hold a run of up to LOOP_PIECES of them LOOP times on end."""
    return any(
        sum(1 for _ in run) >= (LOOP - 1) * size
        for size in range(1, LOOP_PIECES + 1)
        for same, run in itertools.groupby(map(str.__eq__, pieces, pieces[size:]))
        if same
    )
