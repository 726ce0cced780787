"""Labelled brackets of constituency trees, counted as EVALB counts them with its parameters COLLINS.prm.

EVALB (Sekine and Collins 1997) computes the scores of Collins 1997. Words under one of seven tags (traces, and what is
tagged as punctuation) are taken out on both sides before words are compared and brackets counted; function tags are no
part of a label; ADVP and PRT are the same label; of several equal brackets each is matched once. EVALB leaves lines out
of its score: an empty parse is skipped, and a parse with other words than its reference is an error, be it for a
full stop that is tagged as a noun. So it is shown beside a strict score, in which such a line matches nothing.

In one point this is not EVALB with COLLINS.prm: an outermost bracket ROOT, S1 or without a label is no bracket, as TOP.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from nmt.errors import DataError
from nmt.tasks.trees import ROOTS, TOP, Tree, read_trees

DELETED = frozenset({TOP, "-NONE-", ",", ":", "``", "''", "."})
"""Tags whose words are taken out, and labels that are no brackets: DELETE_LABEL of COLLINS.prm."""
CONVENTIONS = "evalb:COLLINS|root:no"
"""What the signatures of both scores say of them."""


class BracketCounts(NamedTuple):
    """What is counted in a line, or the sums over lines: of brackets, crossings and tags in scored lines alone."""

    matched: int = 0  # brackets on both sides
    found: int = 0  # brackets of the hypothesis
    wanted: int = 0  # brackets of the reference
    strict_matched: int = 0  # the same, where a line that is ill-formed or not scored has matched and found none
    strict_found: int = 0
    strict_wanted: int = 0
    crossing: int = 0  # brackets of the hypothesis that cross one of the reference
    words: int = 0
    correct_tags: int = 0
    complete: int = 0  # lines whose brackets are all matched
    not_crossing: int = 0  # lines without a crossing bracket
    few_crossing: int = 0  # lines with at most two
    lines: int = 1
    scored: int = 0
    skipped: int = 0  # lines without a word in the hypothesis
    mismatched: int = 0  # lines whose words differ
    ill_formed: int = 0  # lines whose hypothesis is no tree; several trees in a line are scored nevertheless

    def figures(self) -> dict[str, float]:
        """Return the scores of the summed counts, as EVALB prints them, the strict ones, and the numbers of lines."""
        return {
            "recall": _percent(self.matched, self.wanted),
            "precision": _percent(self.matched, self.found),
            "f1": _percent(2 * self.matched, self.found + self.wanted),
            "strict_recall": _percent(self.strict_matched, self.strict_wanted),
            "strict_precision": _percent(self.strict_matched, self.strict_found),
            "strict_f1": _percent(2 * self.strict_matched, self.strict_found + self.strict_wanted),
            "complete_match": _percent(self.complete, self.scored),
            "average_crossing": self.crossing / self.scored if self.scored else 0.0,
            "no_crossing": _percent(self.not_crossing, self.scored),
            "two_or_less_crossing": _percent(self.few_crossing, self.scored),
            "tagging_accuracy": _percent(self.correct_tags, self.words),
            **{name: getattr(self, name) for name in ("lines", "scored", "skipped", "mismatched", "ill_formed")},
        }

    def left_out(self) -> str | None:
        """Return a remark on lines that only one of the two scores counts as they are, if there are any."""
        if self.scored == self.lines and not self.ill_formed:
            return None
        return (
            f"bracket F1 is of {self.scored:,} of {self.lines:,} lines, strict F1 of all: ill-formed "
            f"{self.ill_formed:,}, with other words {self.mismatched:,}, empty {self.skipped:,}"
        )


class Brackets(NamedTuple):
    """The words and brackets of a line that count."""

    words: list[str]
    tags: list[str]
    brackets: Counter[tuple[str, int, int]]  # how often there is a label from a word up to a word, not included

    @classmethod
    def of(cls, tree: Tree) -> "Brackets":
        """Take out what COLLINS.prm deletes."""
        leaves = tree.preterminals()
        kept = [(tag, word) for tag, word in leaves if tag not in DELETED]
        position = [0, *accumulate(tag not in DELETED for tag, _ in leaves)]  # words kept before each word
        spans = [(label, position[start], position[end]) for label, start, end in tree.spans()]
        while spans and spans[0][0] in ROOTS and spans[0][1:] == (0, len(kept)):
            del spans[0]
        found = ((_equivalent(re.split("[-=]", label)[0]), start, end) for label, start, end in spans)
        brackets = Counter((label, start, end) for label, start, end in found if start < end and label not in DELETED)
        return cls([word for _, word in kept], [_equivalent(tag) for tag, _ in kept], brackets)

    def crossing(self, others: "Brackets") -> int:
        """Count the brackets that cross one of `others`."""
        spans = {(start, end) for _, start, end in others.brackets}
        return sum(
            count
            for (_, start, end), count in self.brackets.items()
            if any(s < start < e < end or start < s < end < e for s, e in spans)
        )


def count_brackets(hypothesis: str, reference: Brackets) -> BracketCounts:
    """Count the brackets of a line of a hypothesis."""
    wanted = reference.brackets.total()
    left_out = BracketCounts(strict_wanted=wanted)
    try:
        trees = read_trees(hypothesis)
    except DataError:
        return left_out._replace(ill_formed=1)
    parse = (
        Brackets.of(trees[0] if len(trees) == 1 else Tree(TOP, tuple(trees))) if trees else Brackets([], [], Counter())
    )
    ill_formed = int(len(trees) > 1)
    if not parse.words:
        return left_out._replace(skipped=1, ill_formed=ill_formed)
    if parse.words != reference.words:
        return left_out._replace(mismatched=1, ill_formed=ill_formed)
    matched, found = (parse.brackets & reference.brackets).total(), parse.brackets.total()
    crossing = parse.crossing(reference)
    return BracketCounts(
        matched,
        found,
        wanted,
        strict_matched=0 if ill_formed else matched,
        strict_found=0 if ill_formed else found,
        strict_wanted=wanted,
        crossing=crossing,
        words=len(parse.words),
        correct_tags=sum(one == other for one, other in zip(parse.tags, reference.tags, strict=True)),
        complete=int(matched == found == wanted),
        not_crossing=int(crossing == 0),
        few_crossing=int(crossing <= 2),
        scored=1,
        ill_formed=ill_formed,
    )


def read_references(lines: Sequence[str]) -> list[Brackets]:
    """Read the trees of a reference. Raises DataError, with the number of the line, where one is no tree."""
    read = []
    for number, line in enumerate(lines, 1):
        try:
            [tree] = read_trees(line)
        except (DataError, ValueError) as error:
            problem = error if isinstance(error, DataError) else "one tree should be in it"
            raise DataError(f"line {number:,} of the reference is no tree: {problem}") from None
        read.append(Brackets.of(tree))
    return read


def sum_of(counts: Sequence[Sequence[float]]) -> BracketCounts:
    """Sum the counts of lines."""
    return BracketCounts(*(int(sum(column)) for column in zip(*counts, strict=True)))


def are_trees(lines: Sequence[str]) -> bool:
    """Return whether `lines` are trees, so that brackets are to be scored: at least 9 of 10 are.

    A reference with a few damaged trees is then an error that `read_references` names, and not text like any other.
    """
    return bool(lines) and 10 * sum(map(_is_tree, lines)) >= 9 * len(lines)


def _is_tree(line: str) -> bool:
    try:
        return len(read_trees(line)) == 1
    except DataError:
        return False


def _equivalent(label: str) -> str:
    """Return the label that stands for all that count as equal: EQ_LABEL of COLLINS.prm."""
    return "ADVP" if label == "PRT" else label


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
