"""Choose the values of a recipe from a survey of text and machine: pure functions.

The reason for each choice, which is written into the recipe, is in `reasons.toml`, by key and case.
"""

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from nmt.advice.survey import Machine, PieceLengths, TextSurvey
from nmt.data.augmenting.casing import has_case
from nmt.data.languages import primary_subtag, scripts_of, standard_tag
from nmt.data.placeholders import MARKUP
from nmt.evaluation.calibration import LEAST_LINES
from nmt.evaluation.metrics import tokenizer_for
from nmt.evaluation.scoring import ORDER
from nmt.version import install_hint

FEW = 10_000
"""Training pairs below which a model from scratch translates badly (Koehn & Knowles 2017; Sennrich & Zhang 2019)."""
SMALL = 100_000  # training pairs below which stronger regularization pays
LARGE = 1_000_000  # training pairs from which on the paper's settings apply; its own corpora had 4.5 and 36 million
LATIN = frozenset({"LATIN"})
VOCABULARY = ((2000, 1000), (FEW, 2000), (25_000, 4000), (300_000, 8000), (2_000_000, 16_000))
"""Vocabulary sizes by training pairs; 32,000 beyond."""
LARGE_ALPHABET = 1500  # characters from which on an alphabet is large, as those of Chinese, Japanese and Korean are
MARKED = 0.005  # share of pairs with mark-up from which on it is protected; fewer teach no model its placeholders
FRACTIONS = 0.01  # share of source lines with fractions and the like above which no rule may replace them
UNEVEN = 10  # ratio of the largest to the smallest corpus from which on smaller corpora are upsampled
CPU_STEPS = 20_000  # maximum number of steps on a CPU
MAX_PIECES = 500  # upper bound for the pieces of a training sentence; memory grows with the longest one
Scale = Literal["small", "medium", "base"]
"""Size of the model: 256 wide with 3+3 layers, between, or the paper's base model."""


@dataclass(frozen=True)
class Choice:
    """A key of a section of the recipe, its value, and the reason for it."""

    key: str
    value: bool | float | str
    reason: str


Choices = dict[str, list[Choice]]  # by section, in the order of the recipe


def choice(key: str, value: bool | float | str, case: str = "", **facts: float | str) -> Choice:
    """Return a choice with its reason of that `case` from `reasons.toml`, the gaps filled with `facts`."""
    return Choice(key, value, _reasons()[f"{key}-{case}" if case else key].format(**facts))


@cache
def _reasons() -> dict[str, str]:
    return tomllib.loads(Path(__file__).with_name("reasons.toml").read_text(encoding="utf-8"))


def choose(
    survey: TextSurvey, vocabulary: list[Choice], lengths: PieceLengths, machine: Machine, held_out: set[str]
) -> Choices:
    """Choose all of a recipe but its corpora; `held_out` says of which of `dev` and `test` there are files."""
    tokens = choose_tokens(survey, machine)
    steps = choose_steps(survey, lengths, machine, int(tokens.value))
    return {
        "data": choose_data(survey, held_out),
        "cleaning": choose_cleaning(survey, lengths),
        "augmentation": choose_augmentation(survey),
        "tokenizer": vocabulary,
        "model": choose_model(survey, vocabulary, lengths, machine),
        "batching": [tokens],
        "optimizer": choose_optimizer(model_scale(survey, machine), int(steps.value)),
        "training": choose_training(survey, machine, steps),
        "evaluation": choose_evaluation(survey),
        "confidence": choose_confidence(survey, held_out),
    }


def model_scale(survey: TextSurvey, machine: Machine) -> Scale:
    """Return the size of model that the data and the machine allow."""
    if not machine.is_gpu or survey.pairs < SMALL // 2:
        return "small"
    return "medium" if survey.pairs < LARGE else "base"


def choose_data(survey: TextSurvey, held_out: set[str]) -> list[Choice]:
    """Choose the pairs to split off where dev or test are not given, and how corpora are mixed."""
    choices, groups = [], survey.directions or survey.corpora
    smallest, largest = min(groups.values()), max(groups.values())
    for split, most in (("dev", 1000), ("test", 2000)):
        if split not in held_out:
            pairs = smallest if survey.directions else survey.pairs
            choices.append(choice(f"{split}_pairs", min(most, max(1, pairs // 20)), most=most))
    if len(groups) > 1 and largest >= UNEVEN * smallest:
        choices.append(choice("temperature", 1.5, smallest=smallest, largest=largest))
    if survey.markup.share >= MARKED:
        choices.append(choice("protect", MARKUP, share=survey.markup.share))
    return choices


def max_pieces(lengths: PieceLengths) -> int:
    """Return the limit for the pieces of a side of a training pair."""
    return min(MAX_PIECES, max(50, 10 * math.ceil(lengths.longest / 10)))


def choose_cleaning(survey: TextSurvey, lengths: PieceLengths) -> list[Choice]:
    """Choose the filters whose defaults do not fit every pair of languages."""
    choices = [choice("max_pieces", max_pieces(lengths), longest=lengths.longest)]
    longest, ratio = max(side.longest for side in survey.sides), survey.length_ratio
    if longest > 1000:
        choices.append(choice("max_characters", 100 * math.ceil(longest / 100), longest=longest))
    if ratio > 1.5:
        choices.append(choice("max_ratio", max(4.0, math.ceil(2.5 * ratio * 2) / 2), ratio=ratio))
    # Of several directions a side has several languages.
    is_latin = all(scripts_of(code) == LATIN for side in survey.sides for code in side.language.split(", "))
    if not is_latin and min(side.own_script for side in survey.sides) >= 0.9:
        shares = " and ".join(f"{side.own_script:.1%} of {side.language}" for side in survey.sides)
        choices.append(choice("min_script", 0.5, shares=shares))
    return choices


def choose_augmentation(survey: TextSurvey) -> list[Choice]:
    """Choose the rates of pairs that are added in other ways of writing; case is for sources that have it."""
    choices = []
    if any(map(has_case, survey.sides[0].language.split(", "))):
        choices += [choice("upper", 0.05), choice("title", 0.01), choice("lower", 0.02)]
    choices += [choice("no_final_mark", 0.05), choice("typos", 0.03), choice("join", 0.02)]
    if survey.pairs < LARGE:
        if not survey.directions:
            choices.append(choice("single_words", 0.02))
        choices.append(choice("copied_tokens", 0.01))
        if survey.markup.share >= MARKED and survey.markup.most >= 2:
            choices.append(choice("inline_tags", 0.02))
    return choices


def choose_vocabulary(survey: TextSurvey, allowed: float = math.inf) -> list[Choice]:
    """Choose the section of the tokenizer; `allowed` is the largest vocabulary that the text allows, if it is known."""
    pairs, alphabet = survey.pairs, max(side.alphabet for side in survey.sides)
    size = next((size for most, size in VOCABULARY if pairs < most), 32_000)
    case = "8000" if size == 8000 else ""
    if 2 * alphabet > size:
        size, case = 1000 * math.ceil(2 * alphabet / 1000), "alphabet"
    if allowed < size:
        size, case = int(allowed), "allowed"
    choices = [choice("vocab_size", size, case, pairs=pairs, alphabet=alphabet)]
    if survey.markup.share >= MARKED:
        choices.append(choice("placeholders", survey.markup.most))
    case = "script" if survey.shares_script else "few" if pairs < FEW else ""
    choices.append(choice("joint", bool(case), case, pairs=pairs))
    choices.append(choice("hard_vocab_limit", False))
    source, target = (side.replaced for side in survey.sides)
    if source.numbers > FRACTIONS * source.lines:
        choices.append(choice("normalization", "nfc", "numbers", changes=source.of("lines"), numbers=source.numbers))
    else:
        choices.append(
            choice("normalization", "nmt_nfkc", "changes" if source.changed else "", changes=source.of("lines"))
        )
    case = "changes" if target.changed else ""
    choices.append(choice("target_normalization", "nfc", case, changes=target.of("lines")))
    coverage, case = (0.9995, "large") if alphabet >= LARGE_ALPHABET else (1.0, "")
    choices += [choice("character_coverage", coverage, case), choice("byte_fallback", True)]
    return [*choices, choice("sampling", 0.1)] if pairs < SMALL else choices


def choose_model(survey: TextSurvey, vocabulary: list[Choice], lengths: PieceLengths, machine: Machine) -> list[Choice]:
    """Choose the section of the model."""
    scale = model_scale(survey, machine)
    choices = [choice("preset", "small" if scale == "small" else "base", scale if machine.is_gpu else "cpu")]
    if scale == "medium":
        choices += [choice("ffn", 1024), choice("heads", 4)]
    choices.append(choice("norm", "pre"))
    if survey.pairs < FEW:
        choices.append(choice("dropout", 0.3, "few"))
    elif scale == "medium":
        choices.append(choice("dropout", 0.3, "medium"))
    elif survey.pairs < SMALL:
        choices.append(choice("dropout", 0.2, "small"))
    else:
        choices.append(choice("dropout", 0.1))
    if any(chosen.key == "joint" and not chosen.value for chosen in vocabulary):
        choices.append(choice("tied_embeddings", "target"))
    pieces = max_pieces(lengths)
    return [*choices, choice("max_length", max(256, 64 * math.ceil((pieces + 1) / 64)), pieces=pieces)]


def choose_tokens(survey: TextSurvey, machine: Machine) -> Choice:
    """Choose the target tokens of a step."""
    if survey.pairs < FEW:
        return choice("tokens_per_step", 1024, "few")
    if model_scale(survey, machine) == "base":
        return choice("tokens_per_step", 25_000, "base")
    if machine.is_gpu and survey.pairs >= 300_000:
        return choice("tokens_per_step", 8192, "much")
    return choice("tokens_per_step", 4096)


def choose_optimizer(scale: Scale, steps: int) -> list[Choice]:
    """Choose the learning rate and its schedule for a training of `steps`."""
    if scale == "base":
        return [choice("schedule", "inverse-sqrt", "base"), choice("warmup_steps", 4000, "base")]
    rate, most = (5e-4, 4000) if scale == "medium" else (2e-3, 1000)
    warmup = choice("warmup_steps", min(most, rounded(steps / 8)), most=most)
    return [choice("learning_rate", rate, scale), choice("schedule", "inverse-sqrt"), warmup]


def choose_training(survey: TextSurvey, machine: Machine, max_steps: Choice) -> list[Choice]:
    """Choose the section of the training."""
    steps, is_base = int(max_steps.value), model_scale(survey, machine) == "base"
    smoothing, case = (0.2, "few") if survey.pairs < FEW else (0.1, "")
    choices = [max_steps, choice("label_smoothing", smoothing, case)]
    bfloat16 = choice("precision", "bfloat16", "gpu" if machine.is_gpu else "cpu")
    choices.append(bfloat16 if machine.is_faster_in_bfloat16 else choice("precision", "float32", "float32"))
    validate, every, patience = (5000, 1000, 5) if is_base else (rounded(steps / 10), rounded(steps / 25), 4)
    case = "base" if is_base else ""
    choices += [choice("checkpoint_every", every, case), choice("validate_every", validate, case)]
    if (tokens := survey.sides[1].tokens) < ORDER:
        choices.append(choice("best_metric", "chrf", tokens=tokens))
    choices.append(choice("patience", patience, validations=patience, steps=patience * validate))
    return [*choices, choice("log_every", rounded(steps / 25))] if steps < 1000 else choices


def choose_steps(survey: TextSurvey, lengths: PieceLengths, machine: Machine, tokens: int) -> Choice:
    """Choose the steps of the training, each of `tokens` target tokens."""
    scale, epoch = model_scale(survey, machine), survey.pairs * lengths.target_mean / tokens
    epochs = 60 if survey.pairs < FEW else 50 if scale == "medium" else 25 if survey.pairs < SMALL else 15
    steps, case = (100_000, "base") if scale == "base" else (rounded(epochs * epoch), "")
    if not machine.is_gpu and steps > CPU_STEPS:
        steps, case = CPU_STEPS, "cpu"
    facts = {"epochs": epochs, "epoch": max(1, round(epoch)), "mean": lengths.target_mean}
    return choice("max_steps", max(steps, 100), case, **facts)


def choose_evaluation(survey: TextSurvey) -> list[Choice]:
    """Choose BLEU's tokenizer for the target language, where it is not the default one."""
    tokenize = survey.sides[1].tokenizer
    if tokenize == tokenizer_for(None):
        return []
    case = {"zh": "", "char": "char"}.get(tokenize, "extra")
    return [choice("tokenize", tokenize, case, install=install_hint(tokenize[:2]))]


def choose_confidence(survey: TextSurvey, held_out: set[str]) -> list[Choice]:
    """Choose to calibrate the confidence, unless the pairs that are split off as dev are too few for it."""
    fewest = min(survey.directions.values(), default=survey.pairs)
    has_enough = "dev" in held_out or max(1, len(survey.directions)) * (fewest // 20) >= LEAST_LINES
    return [choice("calibrate", True)] if has_enough else []


def data_warnings(survey: TextSurvey) -> list[str]:
    """Return a warning where the data is too little."""
    if survey.pairs >= FEW or survey.directions:
        return []
    codes = "-".join(primary_subtag(standard_tag(side.language)) for side in survey.sides)
    return [
        f"{survey.pairs:,} pairs are few: a model from scratch will translate badly; fine-tune one of these languages "
        f"with --init-from MODEL, such as a public one: nmt import Helsinki-NLP/opus-mt-{codes} -o MODEL"
    ]


def rounded(number: float) -> int:
    """Round to two digits, at least 1.

    >>> rounded(2512)
    2500
    """
    if number < 1:
        return 1
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return round(number / unit) * unit
