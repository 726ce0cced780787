"""BLEU, chrF and TER as sacreBLEU computes them, and F1 of brackets, each with the signature that reproduces it.

BLEU: Papineni et al. 2002. chrF: Popović 2015. TER: Snover et al. 2006. Why a score without its
signature cannot be compared: Post 2018, "A Call for Clarity in Reporting BLEU Scores".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import NDArray
from sacrebleu import BLEU, CHRF, SACREBLEU_DIR, TER
from sacrebleu.metrics.base import Metric

from nmt.data.languages import script_codes
from nmt.data.pairs import is_blank
from nmt.errors import DataError, UsageError
from nmt.evaluation.brackets import CONVENTIONS, BracketCounts, are_trees, count_brackets, read_references, sum_of
from nmt.version import __version__, install_hint

MetricName = Literal["bracket-f1", "strict-f1", "bleu", "chrf", "chrf++", "ter"]


class MetricScore(TypedDict):
    """One metric over a corpus: the score at full precision, and its signature, in the form of sacreBLEU's."""

    score: float
    signature: str


Scores = dict[MetricName, MetricScore]
METRICS: tuple[MetricName, ...] = ("bleu", "chrf", "ter")  # by default
TEXT_METRICS: tuple[MetricName, ...] = ("bleu", "chrf", "chrf++", "ter")
BRACKETS: tuple[MetricName, ...] = ("bracket-f1", "strict-f1")
"""Metrics of trees: F1 of the lines that EVALB scores, and of all lines."""
ALL_METRICS: tuple[MetricName, ...] = (*BRACKETS, *TEXT_METRICS)
WORDS = 2  # longest word n-grams of chrF++


@dataclass(frozen=True)
class LineStatistics:
    """The counts of one metric in each line of a system, from whose sums its score is computed."""

    scorer: Metric
    lines: list[list[float]]  # (lines, counts)

    def score(self) -> MetricScore:
        """Return the score of all lines."""
        # By sacreBLEU's own sum: a TER against three references has thirds of words, whose sum depends on the order.
        value = self.scorer._aggregate_and_compute(self.lines).score
        return {"score": value, "signature": self.signature()}

    def sums(self) -> NDArray[np.float64]:
        """Return the sums over all lines (counts,)."""
        total: NDArray[np.float64] = np.sum(self.lines, axis=0, dtype=np.float64)
        return total

    def scores_of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores (samples,) of samples of lines whose counts have these sums (samples, counts)."""
        # Numbers of Python are computed several times as fast as those of numpy.
        return np.array([self.scorer._compute_score_from_stats(row).score for row in sums.tolist()])

    def line_scores(self) -> list[float]:
        """Return the score of each line by itself."""
        return [self.scorer._compute_score_from_stats(row).score for row in self.lines]

    def signature(self, **more: str | int) -> str:
        """Return sacreBLEU's signature, with `more` entries as its tests add them: `seed`, and `bs` or `ar`."""
        signature = self.scorer.get_signature()
        for key, value in more.items():
            signature.update(key, value)
        return str(signature)


@dataclass(frozen=True)
class BracketStatistics:
    """The counts of brackets in each line of a system, from whose sums F1 is computed."""

    lines: list[list[float]]  # (lines, counts), see `BracketCounts`
    is_strict: bool

    @cached_property
    def counts(self) -> BracketCounts:
        """The sums over all lines."""
        return sum_of(self.lines)

    def score(self) -> MetricScore:
        return {"score": float(self.scores_of(self.sums()[None])[0]), "signature": self.signature()}

    def sums(self) -> NDArray[np.float64]:
        """Return the sums over all lines (counts,)."""
        return np.array(self.counts, dtype=np.float64)

    def scores_of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores (samples,) of samples of lines whose counts have these sums (samples, counts)."""
        matched, found, wanted = sums.T[3:6] if self.is_strict else sums.T[:3]
        scores: NDArray[np.float64] = 200 * matched / np.maximum(found + wanted, 1)
        return scores

    def signature(self, **more: str | int) -> str:
        """Return the signature, with `more` entries: `seed`, and `bs` or `ar`."""
        drawn = "".join(f"|{key}:{value}" for key, value in sorted(more.items()))
        return f"nrefs:1{drawn}|{CONVENTIONS}|lines:{'all' if self.is_strict else 'scored'}|version:nmt-{__version__}"


MetricStatistics = LineStatistics | BracketStatistics
Statistics = dict[MetricName, MetricStatistics]
TOKENIZERS = {
    **dict.fromkeys(["Hans", "Hant", "Hani", "Hanb"], "zh"),
    **dict.fromkeys(["Jpan", "Hira", "Kana", "Hrkt"], "ja-mecab"),
    **dict.fromkeys(["Kore", "Hang"], "ko-mecab"),
    **dict.fromkeys(["Bali", "Java", "Khmr", "Lana", "Laoo", "Mymr", "Tale", "Talu", "Thai", "Tibt", "Yiii"], "char"),
}
"""BLEU's tokenizers by ISO 15924's codes of the scripts that put no spaces between words, and of Korean."""


def tokenizer_for(language: str | None) -> str:
    """Return sacreBLEU's BLEU tokenizer for target `language`, a code such as `de`, `zh-CN`, `jpn_Jpan` or `yue`."""
    scripts = script_codes(language or "")
    return TOKENIZERS.get(scripts[0] if scripts else "", BLEU.TOKENIZER_DEFAULT)


def looks_tokenized(lines: Sequence[str]) -> bool:
    """Whether `lines` look tokenized by sacreBLEU's test: their BLEU is not comparable with that of raw text."""
    return sum(line.endswith(" .") for line in lines) >= 100


def score(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: str = BLEU.TOKENIZER_DEFAULT,
    lowercase: bool = False,
    chrf_word_order: int = CHRF.WORD_ORDER,
    metrics: Sequence[MetricName] = METRICS,
) -> Scores:
    """Score a corpus against one or more reference sets, as `count` counts it."""
    counted = count(
        {"": hypotheses},
        references,
        tokenize=tokenize,
        lowercase=lowercase,
        chrf_word_order=chrf_word_order,
        metrics=metrics,
    )
    return {name: statistics.score() for name, statistics in counted[""].items()}


def count(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    *,
    tokenize: str,
    lowercase: bool,
    chrf_word_order: int,
    metrics: Sequence[MetricName],
) -> dict[str, Statistics]:
    """Count what the metrics need in each line of each system, against reference sets as long as the systems.

    `tokenize` applies to BLEU only, `lowercase` to BLEU and chrF: TER always ignores case, as Tercom does, and
    splits words at spaces only, so that it says little about Chinese or Japanese. A `chrf_word_order` of 2 makes chrF
    the same as chrF++ (Popović 2017). TER takes seconds on a single line of hundreds of words in another order: leave
    it out of `metrics` where it is not needed.

    A blank line of one reference set is no reference, as long as another set has one for it. Where none has, BLEU and
    TER count each word of the hypothesis as wrong, and chrF leaves it out.

    Raises `DataError` where there are no lines or their numbers differ, and where brackets are to be counted and a
    reference is no tree; `UsageError` on a tokenizer that is unknown or not installed, and for brackets against
    several references.
    """
    for hypotheses in systems.values():
        _check_counts(hypotheses, references)
    # sacreBLEU takes "" for a reference of length 0, the closest one to a short hypothesis, and None for none; see
    # findings/sacrebleu_blank_reference.sh.
    known = [list(lines) for lines in zip(*map(_without_blanks, zip(*references, strict=True)), strict=True)]
    builders: dict[MetricName, Callable[[], Metric]] = {
        "bleu": lambda: _bleu(tokenize, lowercase, known),
        "chrf": lambda: CHRF(word_order=chrf_word_order, lowercase=lowercase, references=known),
        "chrf++": lambda: CHRF(word_order=WORDS, lowercase=lowercase, references=known),
        "ter": lambda: TER(references=known),
    }
    scorers = {name: builders[name]() for name in metrics if name not in BRACKETS}
    counted: dict[str, Statistics] = {
        system: {
            # The references are counted once for all systems, when a scorer is built; None stands for them.
            name: LineStatistics(scorer, scorer._extract_corpus_statistics(hypotheses, None))
            for name, scorer in scorers.items()
        }
        for system, hypotheses in systems.items()
    }
    if chosen := [name for name in metrics if name in BRACKETS]:
        for system, lines in _count_brackets(systems, references).items():
            of_brackets = {name: BracketStatistics(lines, name == "strict-f1") for name in chosen}
            counted[system] = {**of_brackets, **counted[system]}
    return counted


def with_brackets(metrics: Sequence[MetricName], references: Sequence[Sequence[str]]) -> Sequence[MetricName]:
    """Return the metrics of brackets before `metrics`, without the slow TER, if the references are one set of trees."""
    if len(references) == 1 and are_trees(references[0]):
        return [*BRACKETS, *(name for name in metrics if name != "ter")]
    return metrics


def _count_brackets(
    systems: Mapping[str, Sequence[str]], references: Sequence[Sequence[str]]
) -> dict[str, list[list[float]]]:
    """Count the brackets in each line of each system."""
    if len(references) > 1:
        raise UsageError(f"brackets have one reference, and there are {len(references)}", hint="give one --reference")
    trees = read_references(references[0])
    return {
        system: [[*count_brackets(line, tree)] for line, tree in zip(hypotheses, trees, strict=True)]
        for system, hypotheses in systems.items()
    }


def _without_blanks(references: Sequence[str]) -> list[str | None]:
    """Return the references of one hypothesis, with None in place of the blank ones unless all are blank."""
    blank = [is_blank(reference) for reference in references]
    if all(blank) or not any(blank):
        return list(references)
    return [None if is_empty else line for line, is_empty in zip(references, blank, strict=True)]


def _check_counts(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse sides of different lengths, which sacreBLEU would cut to the shorter one in silence."""
    if isinstance(hypotheses, str) or any(isinstance(lines, str) for lines in references):
        # A type checker cannot find this bug, as a string is a sequence of strings.
        raise TypeError("hypotheses is a list of strings, references a list of such lists")
    if not hypotheses:
        raise DataError("no hypotheses to score", hint="the file of translations is empty")
    if not references:
        raise DataError("no references to score against", hint="give at least one reference set")
    for number, lines in enumerate(references, 1):
        if len(lines) != len(hypotheses):
            raise DataError(
                f"{len(hypotheses)} hypotheses but {len(lines)} lines in reference set {number}",
                hint="line N of a reference translates the same sentence as hypothesis N",
            )


def resolve_tokenizer(tokenize: str, language: str | None) -> str:
    """Return the tokenizer for target `language` by the setting `evaluation.tokenize`, and check that it works.

    Raises UsageError where sacreBLEU has no such tokenizer, or lacks a package or file for it.
    """
    name = tokenizer_for(language) if tokenize == "auto" else tokenize
    bleu_tokenizer(name)
    return name


def bleu_tokenizer(name: str) -> Callable[[str], str]:
    """Return sacreBLEU's tokenizer, which separates tokens by spaces. Raises UsageError as `resolve_tokenizer` does."""
    tokenizer: Callable[[str], str] = _bleu(name, lowercase=False).tokenizer
    return tokenizer


def _bleu(tokenize: str, lowercase: bool, references: Sequence[Sequence[str]] | None = None) -> BLEU:
    """Build BLEU, with references to score against. Raises UsageError where sacreBLEU cannot build its tokenizer."""
    if tokenize not in BLEU.TOKENIZERS:
        raise UsageError(f"unknown BLEU tokenizer '{tokenize}'", hint=f"choose one of {', '.join(BLEU.TOKENIZERS)}")
    # sacreBLEU logs a warning at the old name; the signature says flores101 for both.
    name = "flores101" if tokenize == "spm" else tokenize
    try:
        # `force` suppresses the log lines about tokenized text; `nmt evaluate` warns by `looks_tokenized`.
        return BLEU(tokenize=name, lowercase=lowercase, force=True, references=references)
    except (OSError, RuntimeError, HTTPException, SystemExit) as error:  # sacreBLEU exits where TLS fails
        if name in ("ja-mecab", "ko-mecab"):
            raise UsageError(
                f"the BLEU tokenizer '{name}' needs packages that are not installed",
                hint=install_hint(name[:2]),
            ) from error
        raise UsageError(
            f"the BLEU tokenizer '{name}' cannot be loaded: {error}",
            hint=f"sacreBLEU downloads it to {SACREBLEU_DIR}/models: go online, or delete a damaged copy",
        ) from error
