"""Survey the user's text and machine: the facts that the choices of `nmt init` rest on, and the reader that it shares.

Statistics of text are counted in `data.cleaning.statistics`, for `nmt init` as for `nmt data inspect`.
"""

import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from nmt import console
from nmt.advice.normal_form import Changes, count_changes
from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.cores import cores
from nmt.data.cleaning.statistics import Lengths, SideStatistics
from nmt.data.encoding import tokenizer_training
from nmt.data.encoding.normalization import NormalForm
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.languages import scripts_of, share_of_script
from nmt.data.pairs import Pair
from nmt.data.placeholders import MARKUP, Protector
from nmt.data.reading.corpus import TEST_SET, describe, read_corpus
from nmt.data.reading.named_files import Corpora
from nmt.errors import DataError
from nmt.evaluation.metrics import tokenizer_for
from nmt.evaluation.scoring import mean_tokens, tokenizer_in

MINIMUM = 200  # training pairs below which nothing can be learned
SAMPLE = 20_000  # size of the sample of the training pairs; all pairs are counted
SEED = 1  # seed of the sample
TRIAL = 8000  # maximum vocabulary of the tokenizer that is trained on the sample
HINT = re.compile("[<@{%]|://")  # in every match of `MARKUP`
MOST_MARKUP = 20  # distinct matches of a pair; pairs with more are not counted
BFLOAT16_GAIN = 1.2  # of a processor's products, from which a training gains too: it converts more
LONGEST = 0.999  # share of the lines that the longest one stands for; the rest are outliers


@dataclass(frozen=True)
class SideSurvey:
    """Facts about a sample of one side of the training text."""

    language: str
    words: float  # mean words of a line
    longest: int  # characters that 99.9% of the lines do not exceed
    alphabet: int  # the number of the commonest characters that make up 99.95% of the text
    scripts: dict[str, float]  # shares of the letters by script, the largest first
    own_script: float  # share of the lines of which at least half of the letters are in a script of the language
    tokenizer: str  # BLEU's, by the language or the script of the text
    tokens: float  # mean tokens of a line by that tokenizer
    replaced: Changes = field(default_factory=Changes)  # lines that SentencePiece's rule nmt_nfkc changes


@dataclass(frozen=True)
class Markup:
    """Addresses, tags and variables in a sample of pairs, those that both sides of a pair share."""

    share: float = 0.0  # share of the pairs that have some
    most: int = 0  # distinct ones of a pair that 99.9% of these pairs do not exceed


@dataclass(frozen=True)
class TextSurvey:
    """Facts about the training text."""

    sides: tuple[SideSurvey, SideSurvey]  # source and target
    corpora: dict[str, int]  # pairs of each corpus
    length_ratio: float  # characters of the longer side, divided by those of the shorter
    markup: Markup = field(default_factory=Markup)
    directions: dict[str, int] = field(default_factory=dict)  # pairs of each direction, where there are several

    @property
    def pairs(self) -> int:
        return sum(self.corpora.values())

    @property
    def shares_script(self) -> bool:
        """Whether at least a tenth of the letters of both sides is in scripts that they share."""
        source, target = (side.scripts for side in self.sides)
        return sum(min(source[script], target[script]) for script in source.keys() & target.keys()) >= 0.1


@dataclass(frozen=True)
class PieceLengths:
    """Lengths of the sample in pieces of its tokenizer."""

    target_mean: float  # mean length of a target line, EOS included
    longest: int  # length that the longer side of 99.9% of the pairs does not exceed, without EOS


@dataclass(frozen=True)
class Machine:
    """The machine that the training is to run on."""

    name: str  # as the reasons name it: `a CPU of 2 cores`
    is_gpu: bool
    is_faster_in_bfloat16: bool


read = partial(read_corpus, root=Path(), local=False, default_split="train")
"""Yields the raw pairs of a corpus whose file names are relative to the working directory."""


def survey_text(corpora: Corpora, languages: LanguagesConfig) -> tuple[TextSurvey, list[Pair]]:
    """Count the pairs of the training corpora and survey a sample, which is returned too. Raises DataError."""
    counts = dict.fromkeys(corpora, 0)
    anomalies = Counter[str]()

    def lines() -> Iterator[str]:
        with console.Progress("reading", None, unit="pairs") as progress:
            for name, config in corpora.items():
                own = languages.of(config.direction)
                for source, target in read(config, own, anomalies=anomalies):
                    counts[name] += 1
                    if counts[name] % 10_000 == 0:
                        progress.update(sum(counts.values()))
                    if source.strip() and target.strip():
                        of_pair = [source, target, config.direction or ""]
                        yield "\n".join(text.strip() for text in of_pair)  # none holds a line feed

    drawn, total = tokenizer_training.sample(lines(), SAMPLE, seed=SEED)
    if anomalies:
        console.log(f"found in the files: {', '.join(f'{name} {count:,}' for name, count in anomalies.items())}")
    if total < MINIMUM:
        problem = f"{', '.join(map(describe, corpora.values()))}: {total:,} pairs with text are too few to learn from"
        raise DataError(problem, hint=f"at least {MINIMUM} are needed, and some ten thousand for a useful model")
    rows = [line.split("\n") for line in drawn]
    sample = [(row[0], row[1]) for row in rows]
    sources, targets = ([pair[side] for pair in sample] for side in range(2))
    shorter, longer = sorted(sum(map(len, lines)) for lines in (sources, targets))
    if not languages.directions:
        sides = survey_side(sources, languages.source), survey_side(targets, languages.target)
        return TextSurvey(sides, counts, longer / shorter, survey_markup(sample)), sample
    directions = Counter[str]()
    for name, config in corpora.items():
        directions[config.direction or ""] += counts[name]
    each = {
        direction: tuple([row[side] for row in rows if row[2] == direction] for side in range(2))
        for direction in languages.directions
    }
    sides = _side_of_several(each, 0), _side_of_several(each, 1)
    return TextSurvey(sides, counts, longer / shorter, survey_markup(sample), dict(directions)), sample


def _side_of_several(lines: Mapping[str, Sequence[list[str]]], side: int) -> SideSurvey:
    """Return the facts about one side of several directions: of all, or of the one that they fit least."""
    codes = {direction: direction.split("-")[side] for direction in lines}
    surveys = [survey_side(of_sides[side], codes[direction]) for direction, of_sides in lines.items() if of_sides[side]]
    every = [line for of_sides in lines.values() for line in of_sides[side]]
    whole = survey_side(every, ", ".join(dict.fromkeys(codes.values())))
    return replace(
        whole,
        own_script=min(one.own_script for one in surveys),
        tokenizer=tokenizer_for(None),  # each direction has its own
        tokens=min(one.tokens for one in surveys),
    )


def survey_markup(sample: Sequence[Pair]) -> Markup:
    """Find what `MARKUP` matches in both sides of the pairs of `sample` alike."""
    protector, found = Protector(MARKUP, MOST_MARKUP), Lengths()
    marked = [pair for pair in sample if HINT.search(pair[0]) and protector.protect_pair(*pair)]
    if not marked:
        return Markup()
    found.add(len(protector.protect(source).kept) for source, _ in marked)
    return Markup(len(marked) / len(sample), found.quantile(LONGEST))


def share_in_script(lines: Sequence[str], code: str) -> float:
    """Return the share of the lines of which at least half of the letters are in a script of the language `code`."""
    own = scripts_of(code)
    return sum(share_of_script(line, own) >= 0.5 for line in lines) / max(1, len(lines))


def survey_side(lines: Sequence[str], language: str) -> SideSurvey:
    """Return the facts about the lines of one side."""
    side = SideStatistics()
    side.add(lines)
    letters = side.scripts()
    total, own_tokenizer = letters.total(), tokenizer_for(language)
    if own_tokenizer == tokenizer_for(None):  # the code may say nothing of the script
        own_tokenizer = tokenizer_in(lines) or own_tokenizer
    return SideSurvey(
        language,
        words=side.words.mean,
        longest=side.characters.quantile(LONGEST),
        alphabet=side.alphabet(0.9995),
        scripts={script: count / total for script, count in letters.most_common() if count >= 0.01 * total},
        own_script=share_in_script(lines, language),
        tokenizer=own_tokenizer,
        tokens=mean_tokens(own_tokenizer, lines),
        replaced=count_changes(lines, NormalForm("nmt_nfkc", is_source=False).normalize),
    )


def check_held_out(config: CorpusConfig, languages: LanguagesConfig, split: str) -> None:
    """Read a dev or test set to its end, unless it is to be downloaded by the run. Raises DataError."""
    if not any(name.startswith(TEST_SET) for name in config.file_names):
        for _ in read(config, languages, default_split="validation" if split == "dev" else "test"):
            pass


def fit_tokenizer(config: TokenizerConfig, sample: Sequence[Pair]) -> tuple[int, PieceLengths]:
    """Train a tokenizer on the sample; return the vocabulary that the text allows, and the lengths of the sample.

    The vocabulary is `config.vocab_size`, or a smaller one. Raises DataError where even 300 pieces are too many.
    """
    allowed, size = config.vocab_size, min(config.vocab_size, max(TRIAL, config.vocab_size // 2))
    text = sample[: math.ceil(0.7 * len(sample))]  # cleaning, dev and test take some of the text that a run has
    with tempfile.TemporaryDirectory(prefix="nmt-init-") as folder:
        while True:
            tried = config.model_copy(update={"vocab_size": size, "hard_vocab_limit": True})
            try:
                tokenizer_training.train((s for s, _ in text), (t for _, t in text), tried, Path(folder), seed=SEED)
                break
            except DataError:
                allowed = size = size * 3 // 4 // 50 * 50
                if size < 300:
                    raise
        trained = Tokenizer.load(Path(folder))
        source = [len(ids) for ids in trained.source.encode([s for s, _ in sample])]
        target = [len(ids) for ids in trained.target.encode([t for _, t in sample])]
    longer = Lengths()
    longer.add(map(max, source, target))
    return allowed, PieceLengths(sum(target) / len(target) + 1, longer.quantile(LONGEST))


def find_machine() -> Machine:
    """Return the device that a training would use on this machine."""
    from nmt import devices  # imports torch, which takes seconds, and `nmt data inspect` does without it

    if gpu := devices.find_gpu():
        name, has_bfloat16 = gpu
        return Machine(name, True, has_bfloat16)
    count = cores()
    return Machine(f"a CPU of {count} core{'s' * (count > 1)}", False, devices.bfloat16_gain() > BFLOAT16_GAIN)
