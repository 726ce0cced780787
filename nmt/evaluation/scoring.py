"""What must be said with a score: blank lines, tokenized ones, and a tokenizer with which BLEU means little."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from sacrebleu import BLEU, SACREBLEU_DIR

from nmt.data.languages import script_of, scripts_of
from nmt.data.pairs import is_blank
from nmt.errors import UsageError
from nmt.evaluation.metrics import (
    TOKENIZERS,
    BracketStatistics,
    MetricName,
    Statistics,
    bleu_tokenizer,
    count,
    looks_tokenized,
    resolve_tokenizer,
)

SAMPLE = 2000  # lines from which script and tokens are estimated
SHOWN = 5  # numbers of lines that a remark lists
ORDER = 4  # the longest n-grams of BLEU
FEW = 0.1  # share of the lines with as many words, below which BLEU says little
UNBROKEN = 6  # letters of a word from which on text of a script without spaces has none
SPACED = frozenset({"none", "13a", "intl"})  # tokenizers that find words by spaces
CHRF = "chrF"  # where words are too few for BLEU
FLORES200 = "models/flores200sacrebleuspm"  # sacreBLEU's model of the tokenizer flores200, once it is downloaded
LEAST_KANA = 0.05  # share of kana in Japanese text; Chinese has none
_KANA = scripts_of("und-Hrkt")
# Of the scripts that share Chinese characters, Chinese comes last.
_UNSPACED = {
    script: tokenizer
    for code, tokenizer in reversed(TOKENIZERS.items())
    for script in scripts_of(f"und-{code}")
    if tokenizer != "ko-mecab"
}


def count_systems(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    language: str | None,
    *,
    tokenize: str,
    lowercase: bool,
    chrf_word_order: int,
    metrics: Sequence[MetricName],
) -> tuple[dict[str, Statistics], list[str]]:
    """Return what the metrics count in each system, and what is to be said of the references and the translations.

    `tokenize` is the setting that `choose_tokenizer` takes, `language` the one of the references; all else is as in
    `metrics.count`.
    """
    tokenizer, said = BLEU.TOKENIZER_DEFAULT, blank_references(references)
    if "bleu" in metrics:  # no other metric has a tokenizer, which may not be installed
        tokenizer, said = choose_tokenizer(tokenize, language, references)
    for name, lines in systems.items():
        said += [f"{name}: {flaw}" if len(systems) > 1 else flaw for flaw in flaws_of(lines)]
    counted = count(
        systems,
        references,
        tokenize=tokenizer,
        lowercase=lowercase,
        chrf_word_order=chrf_word_order,
        metrics=metrics,
    )
    for name, statistics in counted.items():
        found = next((each for each in statistics.values() if isinstance(each, BracketStatistics)), None)
        if found and (left_out := found.counts.left_out()):
            said.append(f"{name}: {left_out}" if len(systems) > 1 else left_out)
    return counted, said


def figures_of_brackets(statistics: Statistics) -> dict[str, float] | None:
    """Return the figures of EVALB, and the strict ones, if brackets were counted."""
    found = next((each for each in statistics.values() if isinstance(each, BracketStatistics)), None)
    return found.counts.figures() if found else None


def choose_tokenizer(setting: str, language: str | None, references: Sequence[Sequence[str]]) -> tuple[str, list[str]]:
    """Return BLEU's tokenizer and what is to be said of the references.

    The setting is `evaluation.tokenize`; for `auto` the target language chooses, or the script where that is None.
    Said are a choice by the script, blank lines, and a BLEU that means little. Raises UsageError as
    `resolve_tokenizer` does.
    """
    said = blank_references(references)
    lines = [next((line for line in each if not is_blank(line)), "") for each in zip(*references, strict=False)]
    if setting == "auto" and language is None:
        tokenize, reason = choose_by_script(lines)
        said += [reason] if reason else []
    else:
        tokenize = resolve_tokenizer(setting, language)
    if weakness := weakness_of(tokenize, lines):
        problem, better = weakness
        said.append(f"{problem}: {'chrF says more' if better == CHRF else f'take the tokenizer {better}'}")
    return tokenize, said


def flaws_of(hypotheses: Sequence[str]) -> list[str]:
    """Return what is to be said of translations: blank ones are counted, tokenized ones guessed."""
    blank = _numbers(map(is_blank, hypotheses))
    said = [f"{_of(blank, hypotheses, 'hypothesis', 'hypotheses')} blank: {_listed(blank)}"] if blank else []
    if looks_tokenized(hypotheses):
        said.append("the translations look tokenized: BLEU is meant for plain text")
    return said


def blank_references(references: Sequence[Sequence[str]]) -> list[str]:
    """Count the blank references, name their lines, and say how they are scored."""
    remarks = []
    sets = [[is_blank(line) for line in lines] for lines in references]
    all_blank = [all(flags) for flags in zip(*sets, strict=False)]
    if blank := _numbers(all_blank):
        remarks.append(
            f"{_of(blank, references[0], 'line', 'lines')} blank in {'every' if len(sets) > 1 else 'the'} reference: "
            f"{_listed(blank)}; BLEU and TER count all words of the hypothesis as wrong, chrF leaves it out"
        )
    for number, flags in enumerate(sets, 1):
        if blank := _numbers(flag and not everywhere for flag, everywhere in zip(flags, all_blank, strict=False)):
            what = _of(blank, references[0], "line", "lines")
            remarks.append(f"{what} blank in reference set {number}, and scored by the others: {_listed(blank)}")
    return remarks


def _numbers(flags: Iterable[bool]) -> list[int]:
    return [number for number, flag in enumerate(flags, 1) if flag]


def _of(found: Sequence[int], lines: Sequence[str], one: str, several: str) -> str:
    return (
        f"{len(found):,} of {len(lines):,} {one if len(lines) == 1 else several} {'is' if len(found) == 1 else 'are'}"
    )


def _listed(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    return f"line{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:SHOWN]))}{more}"


def tokenizer_in(lines: Sequence[str]) -> str | None:
    """Return BLEU's tokenizer for the script of `lines`, if that puts no spaces between words; else None."""
    letters = Counter(script_of(letter) for line in islice(lines, SAMPLE) for letter in line if letter.isalpha())
    unspaced = Counter({script: count for script, count in letters.items() if script in _UNSPACED})
    if not unspaced or 2 * unspaced.total() < letters.total() - letters["MODIFIER"]:
        return None
    if sum(unspaced[script] for script in _KANA) > LEAST_KANA * unspaced.total():
        return "ja-mecab"
    return _UNSPACED[unspaced.most_common(1)[0][0]]


def choose_by_script(lines: Sequence[str]) -> tuple[str, str]:
    """Return BLEU's tokenizer for text of an unknown language, and what to say of the choice, if anything."""
    found = tokenizer_in(lines)
    if found is None:
        return BLEU.TOKENIZER_DEFAULT, ""
    reason = f"the references are in a script without spaces between words, so BLEU's tokenizer is {found}"
    try:
        bleu_tokenizer(found)
    except UsageError as error:
        return "char", f"{reason.removesuffix(found)}char; {found} is not installed ({error.hint})"
    return found, f"{reason}; --target-language and --tokenize name another"


def mean_tokens(tokenize: str, lines: Sequence[str]) -> float:
    """Return the mean tokens of a line for BLEU; its characters where the tokenizer is not installed."""
    try:
        split = bleu_tokenizer(tokenize)
    except UsageError:
        split = bleu_tokenizer("char")
    sample = [line for line in islice(lines, SAMPLE) if not is_blank(line)]
    return sum(len(split(line).split()) for line in sample) / max(1, len(sample))


def weakness_of(tokenize: str, lines: Sequence[str]) -> tuple[str, str] | None:
    """Return why BLEU with the tokenizer says little of references as `lines`, and a better tokenizer, or `CHRF`."""
    sample = [line for line in islice(lines, SAMPLE) if not is_blank(line)]
    split = bleu_tokenizer(tokenize)
    words = [len(split(line).split()) for line in sample]
    long = sum(count >= ORDER for count in words)
    is_short = long < FEW * len(sample)
    better = tokenizer_in(sample) if tokenize in SPACED else None
    letters = sum(letter.isalpha() for line in sample for letter in line)
    if better and (is_short or letters >= UNBROKEN * sum(words)):
        if (Path(SACREBLEU_DIR) / FLORES200).exists():
            better += " or flores200"
        return f"BLEU's tokenizer {tokenize} finds no words in text without spaces between them", better
    if is_short:
        counts = f"{long:,} of {len(sample):,} references have as many by its tokenizer {tokenize}"
        return f"BLEU counts n-grams of up to {ORDER} words, and {counts}", CHRF
    return None
