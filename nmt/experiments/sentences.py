"""The best and the worst translations of a test set, and the words in which they differ from the references."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from nmt.evaluation.metrics import MetricStatistics, Statistics
from nmt.experiments.finished_run import TestLines
from nmt.files import JsonObject

SHOWN = 8  # best lines, and worst ones
LONGEST = 600  # characters of a line that are shown
WORD = re.compile(r"\s+|\w+|[^\w\s]")
Part = tuple[bool, str]  # whether the other line has the text too; the text


def extremes(lines: TestLines, counted: Statistics, *, spaced: bool) -> JsonObject:
    """Return the best and the worst translations by chrF, of equal ones the longest first, with their differences.

    `spaced` says whether the language puts spaces between words; else characters are compared.
    """
    scores = line_scores(counted["chrf"])
    bleu = line_scores(counted["bleu"])
    lengths = np.array([len(line) for line in lines.references])
    order = np.lexsort((-lengths, -scores))  # the best first
    worst = np.lexsort((-lengths, scores))

    def shown(number: int) -> JsonObject:
        texts = [cut(side[number]) for side in (lines.sources, lines.references, lines.hypotheses)]
        hypothesis, reference = differing_parts(texts[2], texts[1], spaced=spaced)
        return {
            "line": number + 1,
            "chrf": float(scores[number]),
            "bleu": float(bleu[number]),
            "source": texts[0],
            "hypothesis": hypothesis,
            "reference": reference,
        }

    shown_lines = min(SHOWN, (len(scores) + 1) // 2)
    return {
        "equal_to_reference": sum(map(str.__eq__, lines.hypotheses, lines.references)),
        "best": [shown(int(number)) for number in order[:shown_lines]],
        "worst": [shown(int(number)) for number in worst[:shown_lines]],
    }


def line_scores(statistics: MetricStatistics) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the score of each line by itself (lines,)."""
    return statistics.scores_of(np.array(statistics.lines, dtype=np.float64))


def cut(line: str) -> str:
    """Return the beginning of a line that is too long to show."""
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def differing_parts(first: str, second: str, *, spaced: bool = True) -> tuple[list[Part], list[Part]]:
    """Split two lines into parts that both have and parts that one alone has, word by word.

    >>> differing_parts("a red car", "a blue car")
    ([(True, 'a '), (False, 'red'), (True, ' car')], [(True, 'a '), (False, 'blue'), (True, ' car')])
    """
    one, other = ([*(WORD.findall(line) if spaced else line)] for line in (first, second))
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    left: list[Part] = []
    right: list[Part] = []
    for tag, begin, end, start, stop in matcher.get_opcodes():
        for side, words in ((left, one[begin:end]), (right, other[start:stop])):
            if words:
                side.append((tag == "equal", "".join(words)))
    return left, right


def as_text(parts: Sequence[Part]) -> str:
    """Return the line that `differing_parts` split."""
    return "".join(text for _, text in parts)
