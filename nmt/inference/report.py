"""The report on input lines that need attention and on translations that look wrong."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nmt.data.encoding.trees import CLOSE
from nmt.data.pairs import is_blank
from nmt.evaluation.checks import KINDS, Checks
from nmt.inference.results import Candidate

LOOP, LOOP_PIECES = 4, 8
"""A hypothesis is a loop if it repeats up to LOOP_PIECES pieces LOOP times in a row, and its source does not."""
COPY_WORDS = 4  # a translation of at least this many words that equals its source is a copy; shorter ones may be names
SHORT, SHORT_FROM = 0.4, 10
"""A translation is far shorter than its line if it has less than SHORT of the pieces that training leads to expect, and
these are SHORT_FROM or more. The demo's model, on 450 lines of its test sets, had 0.52 of them and more; on lines of
three sentences, of which it translated one, half of the time less than 0.4."""
SPELLED = 0.25
"""Share of the letters of a translation that are unknown or spelled in bytes, above which they are many. A rare name in
a short sentence stays below; in good translations of the demo's model there is none."""
IMPROBABLE = -1.5
"""Mean log-probability of the pieces of a hypothesis below which it is improbable. The lowest of the demo's model was
-0.48 on its test sets; on text in other scripts it was -1.7 to -1.9, and -2.1 in a model trained for 20 steps."""
ODD_PIECE = re.compile("<(unk|0x[4-7C-F][0-9A-F])>")  # an unknown character, or the first byte of a letter
BYTE, MORE_BYTES = re.compile("<0x[0-9A-F]{2}>"), re.compile("<0x[89AB][0-9A-F]>")  # any, and a further one of a letter
WARNINGS = {
    "replaced": "input lines not UTF-8, each wrong byte now U+FFFD",
    "blank": "input lines blank, and so are their translations",
    "segmented": "input lines translated in segments",
    "cut": "input lines with a sentence too long for the model, split within it",
    "beyond": "matches to be protected beyond the model's placeholders, translated as any text",
    "unscored": "pairs with a side that is blank or too long for the model, not scored",
    "looping": "translations that repeat themselves",
    "emptied": "translations that are blank though their lines are not",
    "copied": "translations that copy their lines",
    "spelled": "translations that are largely unknown characters or spelled in bytes",
    "short": "translations that are far shorter than their lines",
    "improbable": "translations that are improbable to the model itself",
    "unsure": "translations of less than the least confidence",
    "unrestored": "placeholders that could not be restored, their text is missing",
    "invented": "placeholders that stand for nothing, taken out of translations",
    "unmet": "terms of the glossary that translations lack",
    "unavoided": "translations that hold a phrase to avoid",
}
"""The kinds of lines in a report and their sentences, in order."""
FAILURES = tuple(f"{kind} {what}" for kind in KINDS for what in ("missing", "invented"))
TRIED = "translations searched again for failed checks"
JUDGED = ("looping", "emptied", "copied", "spelled", "short", "improbable")
FAILING = "translations that fail a check against their lines"


@dataclass
class Report:
    """Line numbers, counted from 1, of input lines that need attention and of translations that look wrong.

    See `WARNINGS`; a line stands once for each match, placeholder or term in `beyond`, `unrestored`, `invented` and
    `unmet`. `failed` has the lines that fail checks, by check and whether items are missing or invented: `numbers
    missing`.
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
    spelled: list[int] = field(default_factory=list)
    short: list[int] = field(default_factory=list)
    improbable: list[int] = field(default_factory=list)
    unsure: list[int] = field(default_factory=list)
    unrestored: list[int] = field(default_factory=list)
    invented: list[int] = field(default_factory=list)
    unmet: list[int] = field(default_factory=list)
    unavoided: list[int] = field(default_factory=list)
    terms: int | None = None  # number of terms of the glossary that the lines hold; None without a glossary
    failed: dict[str, list[int]] = field(default_factory=dict)
    tried: list[int] = field(default_factory=list)  # lines that were searched again for failed checks
    repaired: list[int] = field(default_factory=list)  # of these, those that pass now

    def warnings(self, *, numbered: bool = True) -> list[str]:
        """Return a sentence for each kind that occurred, with the numbers of its lines where they are `numbered`."""
        found = [(warning, getattr(self, kind)) for kind, warning in WARNINGS.items()]
        said = [
            f"{warning}: {len(lines):,}{f' ({list_lines(lines)})' if numbered else ''}"
            for warning, lines in found
            if lines
        ]
        if self.tried:
            where = f" ({list_lines(self.tried)})" if numbered else ""
            said.append(f"{TRIED}: {len(self.tried):,}{where}, of which pass now: {len(self.repaired):,}")
        if self.failed:
            lines = sorted({number for lines in self.failed.values() for number in lines})
            where = f" ({list_lines(lines)})" if numbered else ""
            counts = ", ".join(f"{kind} in {len(self.failed[kind]):,}" for kind in FAILURES if kind in self.failed)
            said.append(f"{FAILING}: {len(lines):,}{where}: {counts}")
        return said

    @property
    def unused(self) -> list[str]:
        """A sentence in a list where a glossary was of no use, else an empty one."""
        if self.terms != 0 or not self.lines:
            return []
        return ["no line holds a term of the glossary: is its first column in the source language?"]

    def of_line(self, number: int) -> list[str]:
        """Return the sentence of each kind in which line `number` occurred."""
        said = [warning for kind, warning in WARNINGS.items() if number in getattr(self, kind)]
        failed = [kind for kind in FAILURES if number in self.failed.get(kind, ())]
        return said + ([f"{FAILING}: {', '.join(failed)}"] if failed else [])

    def add(self, following: "Report") -> None:
        """Add the report on the lines that follow."""
        self.lines = following.lines
        if following.terms is not None:
            self.terms = (self.terms or 0) + following.terms
        for kind in WARNINGS:
            getattr(self, kind).extend(getattr(following, kind))
        self.tried += following.tried
        self.repaired += following.repaired
        for failure, lines in following.failed.items():
            self.failed.setdefault(failure, []).extend(lines)

    def judge(
        self, number: int, source: str, translation: str, pieces: Sequence[str], *, expected: float, log_prob: float
    ) -> None:
        """Record line `number` if its `translation`, which consists of `pieces`, looks wrong.

        `expected` is the number of pieces to expect of the line, `log_prob` the mean log-probability of a piece.
        """
        own = [piece for piece in pieces if piece != CLOSE]  # every tree ends in many closing brackets
        if is_blank(translation):
            self.emptied.append(number)
        elif translation == source.strip() and len(source.split()) >= COPY_WORDS:
            self.copied.append(number)
        elif has_loop(own) and not has_loop(source.split()) and not has_loop(source):
            self.looping.append(number)
        elif share_spelled(pieces) > SPELLED:
            self.spelled.append(number)
        elif expected >= SHORT_FROM and len(pieces) < SHORT * expected and not has_loop(source):
            self.short.append(number)
        else:
            self.judge_probability(number, log_prob)

    def take_judgement(self, number: int, alone: "Report") -> None:
        """Record line `number` in the kinds of translations that look wrong in which it is in a report of its own."""
        for kind in JUDGED:
            getattr(self, kind).extend([number] * bool(getattr(alone, kind)))

    def add_best(self, number: int, best: Candidate) -> None:
        """Record what the best candidate of line `number` lacks, has invented, or fails."""
        self.unrestored += [number] * len(best.unrestored or [])
        self.invented += [number] * best.invented
        self.unmet += [number] * len(best.unmet or [])
        self.add_checks(number, best.checks or {})

    def is_unsure(self, number: int, best: Candidate, least: float) -> bool:
        """Return whether the confidence in the best candidate of line `number` is under `least`, and record it."""
        is_unsure = best.confidence is not None and best.confidence < least
        self.unsure += [number] * is_unsure
        return is_unsure

    def add_checks(self, number: int, checks: Checks) -> None:
        """Record the `checks` that the translation of line `number` fails."""
        for kind, finding in checks.items():
            for what, items in (("missing", finding["missing"]), ("invented", finding["invented"])):
                if items:
                    self.failed.setdefault(f"{kind} {what}", []).append(number)

    def judge_probability(self, number: int, log_prob: float) -> None:
        """Record line `number` if its translation has a mean `log_prob` of a piece that is too low."""
        if log_prob < IMPROBABLE:
            self.improbable.append(number)


def list_lines(lines: Sequence[int]) -> str:
    """Return the first ten distinct numbers of `lines` as text."""
    distinct = list(dict.fromkeys(lines))
    return f"line {', '.join(map(str, distinct[:10]))}{', ...' if len(distinct) > 10 else ''}"


def share_spelled(pieces: Sequence[str]) -> float:
    """Return the share of the characters of `pieces`, other than spaces, that are unknown or spelled in bytes."""
    odd = sum(ODD_PIECE.fullmatch(piece) is not None for piece in pieces)
    if not odd:
        return 0.0
    others = (piece for piece in pieces if not ODD_PIECE.fullmatch(piece) and not MORE_BYTES.fullmatch(piece))
    plain = sum(1 if BYTE.fullmatch(piece) else len(piece.strip("\u2581")) for piece in others)
    return odd / (odd + plain)


def has_loop(pieces: Sequence[str]) -> bool:
    """Whether `pieces` repeat a sequence of up to LOOP_PIECES pieces LOOP times in a row."""
    return any(
        sum(1 for _ in run) >= (LOOP - 1) * size
        for size in range(1, LOOP_PIECES + 1)
        for same, run in itertools.groupby(map(str.__eq__, pieces, pieces[size:]))
        if same
    )
