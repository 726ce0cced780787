"""The sources of a test set written otherwise, and what a system makes of them beside the plain ones.

Capitals, headlines, typing errors, sentences without their mark at the end, and single words: text that users send, and
training data lack (Belinkov and Bisk 2018).
"""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from nmt.data.augmenting.casing import Casing
from nmt.data.augmenting.final_marks import without_final_mark
from nmt.data.languages import scripts_of
from nmt.evaluation.analysis import FlawName, Texts, flaw_tests, scripts_in, words_in
from nmt.evaluation.metrics import MetricName, Scores, score
from nmt.evaluation.survival import Languages

VariantName = Literal["capitals", "title case", "lower case", "typos", "no final mark"]
PieceCounter = Callable[[Sequence[str], Sequence[str]], Iterable[tuple[int, int]]]
"""Returns the pieces of each source and of its translation, EOS not counted."""
SCORED: tuple[MetricName, ...] = ("bleu", "chrf")
TYPO_SHARE = 0.1  # of the words that are long enough for one; of a line at least one word
TYPO_LETTERS = 4  # letters of the shortest word with a typing error, whose first letter stays
MOST_WORDS = 1000  # single words that are translated, the first of the test set
TIMES = 3  # pieces of its translation for each piece of a word from which on it says far too much
LONG = 4  # words of the translation of a single word from which on it says too much
_LONG_WORD = re.compile(rf"[^\W\d_]{{{TYPO_LETTERS},}}")


class Variant(TypedDict):
    """The scores of a test set whose sources are written otherwise, and of the plain one, scored alike."""

    name: VariantName
    changed: int  # sources that differ from the plain ones
    plain: Scores
    scores: Scores


class SingleWords(TypedDict):
    """The translations of the words of the sources, one by one."""

    words: int
    long: int  # translations of `LONG` words or more
    over_long: int | None  # of more than `TIMES` the pieces of the word; None where they were not counted
    flaws: dict[FlawName, int]


class Robustness(TypedDict):
    """How a system translates text that is written otherwise."""

    variants: list[Variant]
    single_words: SingleWords


@dataclass(frozen=True)
class Writing:
    """A way of writing sources, and how translations of them are scored."""

    write: Callable[[str], str]
    lowercase: bool = False  # score without case, which the source does not show
    prepare: Callable[[str], str] = str  # what is done to hypotheses and references before they are scored


def with_typos(line: str, seed: int = 1) -> str:
    """Return `line` with typing errors in a tenth of its words of four letters or more, at least in one.

    Two letters are swapped, or one is left out, doubled, or replaced by another letter of the line. The result depends
    on line and seed alone.
    """
    rng = random.Random(f"{seed} {line}")
    words = list(_LONG_WORD.finditer(line))
    chosen = rng.sample(words, k=min(len(words), max(1, round(TYPO_SHARE * len(words)))))
    for word in sorted(chosen, key=lambda match: -match.start()):
        at = rng.randrange(word.start() + 1, word.end() - 1)
        one, two = line[at], line[at + 1]
        letters = sorted({letter for letter in line.lower() if letter.isalpha()} - {one.lower()}) or [one]
        typed = rng.choice([two + one, two, one + one + two, rng.choice(letters) + two])
        line = line[:at] + typed + line[at + 2 :]
    return line


def writings(languages: Languages) -> dict[VariantName, Writing]:
    """Return the ways of writing sources of two languages.

    Before they are scored without case, translations of capitals and their references are written in capitals, since
    those of some letters are others: SS of the German sharp s.
    """
    source, target = map(Casing, languages)
    return {
        "capitals": Writing(source.upper, lowercase=True, prepare=target.upper),
        "title case": Writing(source.title, lowercase=True),
        "lower case": Writing(source.lower, lowercase=True),
        "typos": Writing(with_typos),
        "no final mark": Writing(without_final_mark, prepare=without_final_mark),
    }


def single_words(sources: Sequence[str]) -> list[str]:
    """Return the different words of `sources` as they occur first, at most `MOST_WORDS`; numbers are none."""
    found = dict.fromkeys(word for line in sources for word in words_in(line) if not word.isnumeric())
    return list(found)[:MOST_WORDS]


def compare_writings(
    texts: Texts,
    translate: Callable[[str, Sequence[str]], list[str]],
    *,
    tokenize: str,
    lowercase: bool,
    chrf_word_order: int,
    count_pieces: PieceCounter | None = None,
) -> Robustness:
    """Score translations of the sources in each way of writing beside the plain `hypotheses`.

    `translate` receives the name of the way of writing and its sources. A way that changes no line is left out.
    Single words have no references; their flaws are counted.
    """
    variants = []
    for name, writing in writings(texts.languages).items():
        sources = [writing.write(source) for source in texts.sources]
        changed = sum(new != old for new, old in zip(sources, texts.sources, strict=True))
        if not changed:  # as in a script without capitals
            continue
        references = [list(map(writing.prepare, each)) for each in texts.references]
        plain, scores = (
            score(
                list(map(writing.prepare, hypotheses)),
                references,
                tokenize=tokenize,
                lowercase=lowercase or writing.lowercase,
                chrf_word_order=chrf_word_order,
                metrics=SCORED,
            )
            for hypotheses in (texts.hypotheses, translate(name, sources))
        )
        variants.append(Variant(name=name, changed=changed, plain=plain, scores=scores))
    words = single_words(texts.sources)
    own = scripts_of(texts.languages[1] or "") or scripts_in(texts.references[0])
    found = judge_words(words, translate("single words", words), own, count_pieces)
    return Robustness(variants=variants, single_words=found)


def judge_words(
    words: Sequence[str], hypotheses: Sequence[str], own: frozenset[str], count_pieces: PieceCounter | None = None
) -> SingleWords:
    """Count the translations of single words that have flaws or say too much; `own` are the scripts of the target.

    A copy may be right, as of a name; without references it counts as any other.
    """
    pairs = list(zip(words, hypotheses, strict=True))
    flaws = {name: sum(has(word, text) for word, text in pairs) for name, has in flaw_tests(own).items()}
    pieces = count_pieces(words, hypotheses) if count_pieces else None
    return SingleWords(
        words=len(words),
        long=sum(len(words_in(text)) >= LONG for text in hypotheses),
        over_long=None if pieces is None else sum(target > TIMES * source for source, target in pieces),
        flaws=flaws,
    )
