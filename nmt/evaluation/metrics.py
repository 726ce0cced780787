"""BLEU, chrF and TER as sacreBLEU computes them, each number with the signature that reproduces it.

BLEU: Papineni et al. 2002. chrF: Popović 2015. TER: Snover et al. 2006. Why a score without its
signature cannot be compared: Post 2018, "A Call for Clarity in Reporting BLEU Scores".
"""

from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Literal, TypedDict

from sacrebleu import BLEU, CHRF, SACREBLEU_DIR, TER

from nmt.data.languages import script_codes
from nmt.data.pairs import is_blank
from nmt.errors import DataError, UsageError
from nmt.version import install_hint

MetricName = Literal["bleu", "chrf", "ter"]


class MetricScore(TypedDict):
    """One metric over a corpus: the score at full precision, and sacreBLEU's signature of it."""

    score: float
    signature: str


Scores = dict[MetricName, MetricScore]
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
    metrics: Sequence[MetricName] = ("bleu", "chrf", "ter"),
) -> Scores:
    """Score a corpus against one or more reference sets, each as long as `hypotheses`.

    `tokenize` applies to BLEU only, `lowercase` to BLEU and chrF: TER always ignores case, as Tercom does, and
    splits words at spaces only, so that it says little about Chinese or Japanese. A `chrf_word_order` of 0 gives
    chrF2, of 2 chrF++. TER takes seconds on a single line of hundreds of words in another order: leave it out of
    `metrics` where it is not needed.

    A blank line of one reference set is no reference, as long as another set has one for it. Where none has, BLEU and
    TER count each word of the hypothesis as wrong, and chrF leaves it out.

    Raises `DataError` where there are no lines or their numbers differ, `UsageError` on a tokenizer that is unknown or
    not installed.
    """
    _check_counts(hypotheses, references)
    builders: dict[MetricName, Callable[[], BLEU | CHRF | TER]] = {
        "bleu": lambda: _bleu(tokenize, lowercase),
        "chrf": lambda: CHRF(word_order=chrf_word_order, lowercase=lowercase),
        "ter": TER,
    }
    scores: Scores = {}
    # sacreBLEU takes "" for a reference of length 0, the closest one to a short hypothesis, and None for none; see
    # findings/sacrebleu_blank_reference.sh.
    known = [list(lines) for lines in zip(*map(_without_blanks, zip(*references, strict=True)), strict=True)]
    for name, scorer in [(name, builders[name]()) for name in metrics]:
        value = scorer.corpus_score(hypotheses, known).score
        # After scoring: the signature counts the references that were scored.
        scores[name] = {"score": value, "signature": str(scorer.get_signature())}
    return scores


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


def _bleu(tokenize: str, lowercase: bool) -> BLEU:
    """Build BLEU. Raises UsageError where sacreBLEU cannot build its tokenizer."""
    if tokenize not in BLEU.TOKENIZERS:
        raise UsageError(f"unknown BLEU tokenizer '{tokenize}'", hint=f"choose one of {', '.join(BLEU.TOKENIZERS)}")
    # sacreBLEU logs a warning at the old name; the signature says flores101 for both.
    name = "flores101" if tokenize == "spm" else tokenize
    try:
        # `force` suppresses the log lines about tokenized text; `nmt evaluate` warns by `looks_tokenized`.
        return BLEU(tokenize=name, lowercase=lowercase, force=True)
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
