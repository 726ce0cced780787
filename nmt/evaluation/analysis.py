"""What lies behind the scores of a test set: quality by groups of lines, flaws of single lines, and what survives.

The lines of a group are scored from the same counts as the whole, so that the counts of the groups add up to it. Groups
as in compare-mt (Neubig et al. 2019).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Literal, TypedDict

import numpy as np
import regex

from nmt.data.languages import script_of, scripts_of
from nmt.data.pairs import is_blank
from nmt.errors import DataError
from nmt.evaluation.checks import CheckCount, CheckKind, count_checks
from nmt.evaluation.metrics import MetricName, MetricScore, Scores, Statistics
from nmt.evaluation.survival import ItemKind, Languages, Survival, count_survivors

FlawName = Literal["copied", "empty", "repeated", "wrong_script"]
Grouper = Callable[[Sequence[str], Iterable[str]], list["Group"]]
GROUPED: tuple[MetricName, ...] = ("bleu", "chrf")  # metrics of the groups
LENGTHS = (1, 6, 11, 21, 31, 41, 61)  # the fewest words of each group but the first, which has none
FREQUENCIES = (1, 2, 10, 100, 1000)  # the fewest occurrences of each group but the first, which has none
NO_WORDS = "no words"  # the group of sources without words
MOST_WORDS, MOST_LETTERS = 100, 20  # of what repeats itself, as the letters `ate` in `Stateateateate`
OWN_SHARE = 0.1  # share of the letters of the references from which a script is the target's
LATIN = "LATIN"
_LETTER = r"[\p{L}\p{M}\p{N}--[\p{Han}\p{Hira}\p{Kana}\p{Thai}\p{Laoo}\p{Khmr}\p{Mymr}\p{Tibt}]]"
_WORD = regex.compile(rf"(?V1){_LETTER}+(?:['\u2019]{_LETTER}+)*|[\p{{L}}\p{{N}}]")
_REPEATED_LETTERS = regex.compile(rf"(\p{{L}}{{1,{MOST_LETTERS}}}?)\1{{3,}}")
script_of_letter = cache(script_of)


class Brevity(TypedDict):
    """Lengths in the words of BLEU's tokenizer; of several references, the one whose length is closest."""

    hypotheses: int
    references: int
    ratio: float
    penalty: float  # the factor of BLEU


class Group(TypedDict):
    """The lines that have something in common."""

    name: str
    lines: int
    length_ratio: float  # words of the hypotheses for each of the references
    scores: Scores


class Flaw(TypedDict):
    """The hypotheses with a flaw that no reference of their line has."""

    count: int
    share: float  # of all lines
    lines: list[int]  # their numbers, from 1
    references: int  # lines of which a reference has it; they are no flaws of the hypothesis


class Analysis(TypedDict):
    """Everything about the translations of one test set by one system."""

    lines: int
    scores: Scores
    brevity: Brevity
    by_length: list[Group]  # by words of the source
    by_frequency: list[Group]  # by the occurrences of the rarest word of a source in the training text; may be empty
    by_label: dict[str, list[Group]]  # by kind of label, such as `domain`
    flaws: dict[FlawName, Flaw]
    survival: dict[ItemKind, Survival]
    checks: dict[CheckKind, CheckCount]  # against the source alone


@dataclass(frozen=True)
class Texts:
    """The lines of a test set: as many of each kind."""

    sources: Sequence[str]
    hypotheses: Sequence[str]
    references: Sequence[Sequence[str]]  # sets
    languages: Languages = (None, None)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)  # one of each line, by the kind of label


def analyze(texts: Texts, statistics: Statistics, training_words: Mapping[str, int] | None = None) -> Analysis:
    """Analyze hypotheses by what `metrics.count` counted in them, at least BLEU and chrF.

    `training_words` has the occurrences of words in the training sources, see `count_words`. Raises DataError where
    the numbers of lines differ.
    """
    total = len(texts.sources)
    for side in (texts.hypotheses, *texts.references, *texts.labels.values()):
        if len(side) != total:
            raise DataError(f"{total:,} sources but {len(side):,} lines beside them")
    words = [words_in(source) for source in texts.sources]
    group = grouper(statistics)
    rarest = [] if training_words is None else [rarest_word(each, training_words) for each in words]
    return Analysis(
        lines=total,
        scores={name: counted.score() for name, counted in statistics.items()},
        brevity=brevity_of(statistics),
        by_length=group([bucket(len(each), LENGTHS) for each in words], buckets(LENGTHS)),
        by_frequency=group(rarest, [*buckets(FREQUENCIES), NO_WORDS]),
        by_label={kind: group(labels, _commonest(labels)) for kind, labels in texts.labels.items()},
        flaws=find_flaws(texts),
        survival=count_survivors(texts.sources, texts.hypotheses, texts.references, texts.languages),
        checks=count_checks(texts.sources, texts.hypotheses, texts.references, texts.languages),
    )


def words_in(line: str) -> list[str]:
    """Return the words of `line` without punctuation; letters where the script puts no spaces between words."""
    found: list[str] = _WORD.findall(line)
    return found


def count_words(lines: Iterable[str]) -> Counter[str]:
    """Count the words of `lines`, in lower case; numbers are none."""
    return Counter(word for line in lines for word in _lower_words(line))


def _lower_words(line: str) -> list[str]:
    return [word for word in words_in(line.lower()) if not word.isnumeric()]


def brevity_of(statistics: Statistics) -> Brevity:
    """Return the lengths that BLEU compares, and its penalty of hypotheses that are too short."""
    hypotheses, references = (int(length) for length in statistics["bleu"].sums()[:2])
    penalty = 1.0 if hypotheses >= references else math.exp(1 - references / hypotheses) if hypotheses else 0.0
    ratio = hypotheses / references if references else 0.0
    return Brevity(hypotheses=hypotheses, references=references, ratio=ratio, penalty=penalty)


def buckets(edges: Sequence[int]) -> list[str]:
    """Name the groups of numbers from 0 on that begin at `edges`.

    >>> buckets((1, 2, 10))
    ['0', '1', '2-9', '10+']
    """
    starts = [0, *edges]
    names = [f"{low}" if low + 1 == high else f"{low}-{high - 1}" for low, high in zip(starts, edges, strict=False)]
    return [*names, f"{starts[-1]}+"]


def bucket(number: int, edges: Sequence[int]) -> str:
    """Return the name of the group of `number`, see `buckets`."""
    return buckets(edges)[sum(number >= edge for edge in edges)]


def rarest_word(words: Sequence[str], training_words: Mapping[str, int]) -> str:
    """Return the group of a source by the occurrences of its rarest word in the training sources."""
    counts = [training_words.get(word, 0) for word in _lower_words(" ".join(words))]
    return bucket(min(counts), FREQUENCIES) if counts else NO_WORDS


def _commonest(labels: Sequence[str]) -> list[str]:
    return [label for label, _ in Counter(labels).most_common()]


def grouper(statistics: Statistics) -> Grouper:
    """Return a function that groups lines by their names, in the order of the names, and scores each group."""
    counts = {name: np.array(statistics[name].lines, dtype=np.float64) for name in GROUPED}

    def group(names: Sequence[str], order: Iterable[str]) -> list[Group]:
        groups, rows = [], np.array(names)
        for name in dict.fromkeys(order):
            chosen = rows == name
            if not chosen.any():
                continue
            sums = {metric: table[chosen].sum(axis=0) for metric, table in counts.items()}
            scores: Scores = {
                metric: MetricScore(
                    score=float(statistics[metric].scores_of(sums[metric][None])[0]),
                    signature=statistics[metric].signature(),
                )
                for metric in GROUPED
            }
            hypotheses, references = sums["bleu"][:2].tolist()
            ratio = hypotheses / references if references else 0.0
            groups.append(Group(name=name, lines=int(chosen.sum()), length_ratio=ratio, scores=scores))
        return groups

    return group


def find_flaws(texts: Texts) -> dict[FlawName, Flaw]:
    """Find the hypotheses with a flaw that no reference of their line has."""
    own = scripts_of(texts.languages[1] or "") or scripts_in(texts.references[0])
    rows = list(zip(texts.sources, texts.hypotheses, zip(*texts.references, strict=True), strict=True))
    flaws: dict[FlawName, Flaw] = {}
    for name, has in flaw_tests(own).items():
        expected = [any(has(source, reference) for reference in references) for source, _, references in rows]
        lines = [
            number
            for number, ((source, text, _), is_expected) in enumerate(zip(rows, expected, strict=True), 1)
            if not is_expected and has(source, text)
        ]
        share = len(lines) / len(rows) if rows else 0.0
        flaws[name] = Flaw(count=len(lines), share=share, lines=lines, references=sum(expected))
    return flaws


def flaw_tests(own: frozenset[str]) -> dict[FlawName, Callable[[str, str], bool]]:
    """Return what says of source and translation whether it has a flaw; `own` are the scripts of the target."""
    return {
        "copied": lambda source, text: text.strip() == source.strip() and not is_blank(text),
        "empty": lambda source, text: is_blank(text) and not is_blank(source),
        "repeated": repeats,
        "wrong_script": lambda source, text: is_in_wrong_script(source, text, own),
    }


def repeats(source: str, text: str) -> bool:
    """Return whether words or letters of `text` repeat in a row, as often as they do nowhere in `source`."""
    words, letters = repeated_words(text), repeated_letters(text)
    return (words > 0 and words > repeated_words(source)) or (letters > 0 and letters > repeated_letters(source))


def repeated_words(text: str) -> int:
    """Return how many times in a row words repeat the words before them; 0 where that may be chance.

    A word is to stand three times in a row, several words twice, and letters of a script without spaces thrice.
    """
    words = words_in(text.lower())
    if len(set(pairwise(words))) == len(words) - 1:  # no two words occur twice
        return 0
    most = 0
    for length in range(1, min(MOST_WORDS, len(words) // 2) + 1):
        row = 0
        for place in range(length, len(words)):
            row = row + 1 if words[place] == words[place - length] else 0
            times = row // length
            if times > most and row >= 2:
                are_letters = times == 1 and all(len(word) == 1 for word in words[place - length : place])
                most = most if are_letters else times
    return most


def repeated_letters(text: str) -> int:
    """Return how many letters in a row are up to `MOST_LETTERS` letters that stand at least four times."""
    return max((len(match[0]) for match in _REPEATED_LETTERS.finditer(text.lower())), default=0)


def is_in_wrong_script(source: str, text: str, own: frozenset[str]) -> bool:
    """Return whether `text` is in other scripts than its `own`: half of its letters, or letters of a third script.

    Latin letters are no third script where the source has some too, as in names and units.
    """
    letters = letters_by_script(text)
    foreign = letters.keys() - own
    if not foreign:
        return False
    share = sum(letters[script] for script in foreign) / letters.total()
    return share > 0.5 or foreign != {LATIN} or LATIN not in letters_by_script(source)


def letters_by_script(text: str) -> Counter[str]:
    """Count the letters of `text` by script, as `script_of` names it, without those of no script."""
    if text.isascii():
        return +Counter({LATIN: sum(map(str.isalpha, text))})
    found = Counter(script_of_letter(letter) for letter in text if letter.isalpha())
    del found["MODIFIER"]
    return found


def scripts_in(lines: Iterable[str]) -> frozenset[str]:
    """Return the scripts of `lines` in a language that is not known: those of at least a tenth of the letters."""
    letters = sum(map(letters_by_script, lines), Counter[str]())
    return frozenset(script for script, count in letters.items() if count >= OWN_SHARE * letters.total())
