"""Choose the values of a recipe from a survey of text and machine: pure functions, each choice with its reason.

The reasons are written into the recipe. They name a paper, or a measurement of this project: `recipes/README.md` and
`benchmarks/README.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nmt.advice.survey import Machine, PieceLengths, TextSurvey
from nmt.data.languages import scripts_of
from nmt.evaluation.metrics import tokenizer_for
from nmt.version import install_hint

FEW = 10_000
"""Training pairs below which a model from scratch translates badly (Koehn & Knowles 2017; Sennrich & Zhang 2019)."""
SMALL = 100_000  # training pairs below which stronger regularization pays
LARGE = 1_000_000  # training pairs from which on the paper's settings apply; its own corpora had 4.5 and 36 million

LATIN = frozenset({"LATIN"})
VOCABULARY = ((2000, 1000), (FEW, 2000), (25_000, 4000), (300_000, 8000), (2_000_000, 16_000))
"""Vocabulary sizes by training pairs; 32,000 beyond."""
LARGE_ALPHABET = 1500  # characters from which on an alphabet is large, as those of Chinese, Japanese and Korean are
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


Choices = dict[str, list[Choice]]  # by section
SECTIONS = ("data", "cleaning", "tokenizer", "model", "batching", "optimizer", "training", "evaluation")
"""The sections in the order of the recipe."""


def choose(
    survey: TextSurvey, vocabulary: list[Choice], lengths: PieceLengths, machine: Machine, held_out: set[str]
) -> Choices:
    """Choose all of a recipe but its corpora; `held_out` says of which of `dev` and `test` there are files."""
    scale = model_scale(survey, machine)
    tokens, tokens_reason = choose_tokens(survey, machine)
    steps, training = choose_training(survey, lengths, machine, tokens)
    return {
        "data": choose_data(survey, held_out),
        "cleaning": choose_cleaning(survey, lengths),
        "tokenizer": vocabulary,
        "model": choose_model(survey, vocabulary, lengths, machine),
        "batching": [Choice("tokens_per_step", tokens, tokens_reason)],
        "optimizer": choose_optimizer(scale, steps),
        "training": training,
        "evaluation": choose_evaluation(survey),
    }


def model_scale(survey: TextSurvey, machine: Machine) -> Scale:
    """Return the size of model that the data and the machine allow."""
    if not machine.is_gpu or survey.pairs < SMALL // 2:
        return "small"
    return "medium" if survey.pairs < LARGE else "base"


def choose_data(survey: TextSurvey, held_out: set[str]) -> list[Choice]:
    """Choose the pairs to split off where dev or test are not given, and how corpora are mixed."""
    choices = []
    for split, most, use in (
        ("dev", 1000, "for validation; Multi30k's dev, which its recipe was tuned on, has 1,014"),
        ("test", 2000, "as a test; the more lines, the smaller the differences that are significant (Koehn 2004)"),
    ):
        if split not in held_out:
            why = f"No {split} files were given: a twentieth of the pairs, {most:,} at most, is split off {use}."
            choices.append(Choice(f"{split}_pairs", min(most, survey.pairs // 20), why))
    sizes = survey.corpora.values()
    if len(sizes) > 1 and max(sizes) >= UNEVEN * min(sizes):
        why = f"The corpora have {min(sizes):,} to {max(sizes):,} pairs: the smaller ones are seen more often than "
        why += "once an epoch, or the largest would dominate (Arivazhagan et al. 2019, section 4.2; there it is 5)."
        choices.append(Choice("temperature", 1.5, why))
    return choices


def max_pieces(lengths: PieceLengths) -> int:
    """Return the limit for the pieces of a side of a training pair."""
    return min(MAX_PIECES, max(50, 10 * math.ceil(lengths.longest / 10)))


def choose_cleaning(survey: TextSurvey, lengths: PieceLengths) -> list[Choice]:
    """Choose the filters whose defaults do not fit every pair of languages."""
    why = f"In the sample, 99.9% of the pairs have no side of more than {lengths.longest:,} pieces; longer ones are "
    why += "mostly misaligned, and cost memory."
    choices = [Choice("max_pieces", max_pieces(lengths), why)]
    longest = max(side.longest for side in survey.sides)
    if longest > 1000:
        why = f"99.9% of the lines have at most {longest:,} characters; the default of 1,000 would drop many."
        choices.append(Choice("max_characters", 100 * math.ceil(longest / 100), why))
    if survey.length_ratio > 1.5:
        why = f"One side has {survey.length_ratio:.1f} times the characters of the other, so the default of 4 would "
        why += "drop good pairs; this is 2.5 times that ratio."
        choices.append(Choice("max_ratio", max(4.0, math.ceil(2.5 * survey.length_ratio * 2) / 2), why))
    is_latin = all(scripts_of(side.language) == LATIN for side in survey.sides)
    if not is_latin and min(side.own_script for side in survey.sides) >= 0.9:
        shares = " and ".join(f"{side.own_script:.1%} of {side.language}" for side in survey.sides)
        why = f"Drops lines that are not in their language's script, such as untranslated ones; {shares} pass in the "
        choices.append(Choice("min_script", 0.5, f"{why}sample."))
    return choices


def choose_vocabulary(survey: TextSurvey, allowed: float = math.inf) -> list[Choice]:
    """Choose the section of the tokenizer; `allowed` is the largest vocabulary that the text allows, if it is known."""
    pairs, alphabet = survey.pairs, max(side.alphabet for side in survey.sides)
    size = next((size for most, size in VOCABULARY if pairs < most), 32_000)
    why = f"For {pairs:,} pairs: a Transformer needs few merges where data is scarce (Ding et al. 2019), and each "
    why += "piece has to be seen often enough (Gowda & May 2020)"
    why += "; Multi30k's recipe, 29,000 pairs, has 8,000." if size == 8000 else "."
    if 2 * alphabet > size:
        size = 1000 * math.ceil(2 * alphabet / 1000)
        why = f"{alphabet:,} characters need a piece of their own, and as many are left for words."
    if allowed < size:
        size, why = int(allowed), "The text has no more different pieces, as training a tokenizer on it showed."
    choices = [Choice("vocab_size", size, why)]
    if survey.shares_script:
        why = "The two sides share a script, so that words spelled alike are the same pieces (Sennrich et al. 2016)."
    elif pairs < FEW:
        why = f"The scripts differ, but {pairs:,} pairs are too few for two vocabularies."
    else:
        why = "The scripts differ, so hardly a piece would serve both sides; each has its own vocabulary of that size."
    choices.append(Choice("joint", survey.shares_script or pairs < FEW, why))
    coverage, why = 1.0, "A small alphabet: every character gets a piece (SentencePiece's documentation)."
    if alphabet >= LARGE_ALPHABET:
        coverage, why = 0.9995, "As SentencePiece's documentation advises for Chinese and Japanese; "
        why += "rarer characters are split into bytes."
    choices.append(Choice("character_coverage", coverage, why))
    why = "A character that is not in the training text is split into its bytes, so nothing becomes the unknown piece."
    choices.append(Choice("byte_fallback", True, why))
    if pairs < SMALL:
        why = "BPE-dropout: a word is split differently each time it is seen, which helps most where data is scarce "
        why += "(Provilkov et al. 2020; 0.1 there)."
        choices.append(Choice("sampling", 0.1, why))
    return choices


def choose_model(survey: TextSurvey, vocabulary: list[Choice], lengths: PieceLengths, machine: Machine) -> list[Choice]:
    """Choose the section of the model."""
    scale = model_scale(survey, machine)
    if scale == "base":
        why = "The paper's base model (Vaswani et al. 2017, table 3); its big one had 28.4 BLEU instead of 27.3 on "
        why += "WMT14 English-German (table 2), at several times the cost."
    elif scale == "medium":
        why = "Width and depth of the paper's base model (Vaswani et al. 2017, table 3), "
        why += "as in the recipe iwslt14-de-en."
    elif machine.is_gpu:
        why = "Width 256 and 3+3 layers: little data needs a small model (Araabi & Monz 2020), as in Multi30k's recipe."
    else:
        why = "Width 256 and 3+3 layers, which a CPU trains in reasonable time: Multi30k's recipe took 19 minutes on "
        why += "two cores (recipes/README.md). With a GPU, let `nmt init` write it anew."
    choices = [Choice("preset", "small" if scale == "small" else "base", why)]
    if scale == "medium":
        why = "Half of base's: there is less data than base is made for (compare Araabi & Monz 2020)."
        choices += [Choice("ffn", 1024, why), Choice("heads", 4, why)]
    why = "Trains stably with a short warm-up and a high learning rate (Xiong et al. 2020; Wang et al. 2019)."
    choices.append(Choice("norm", "pre", why))
    if survey.pairs < FEW:
        dropout, why = 0.3, "Prevents overfitting on little data (Sennrich & Zhang 2019; Araabi & Monz 2020)."
    elif scale == "medium":
        dropout, why = 0.3, "A wide model for this data (Araabi & Monz 2020), as in the recipe iwslt14-de-en."
    elif survey.pairs < SMALL:
        dropout, why = 0.2, "On Multi30k, 29,000 pairs, 0.2 gave 39.23 BLEU on dev and 0.3 gave 39.02."
    else:
        dropout, why = 0.1, "The paper's, for data that is not soon overfitted (Vaswani et al. 2017, table 3)."
    choices.append(Choice("dropout", dropout, why))
    if any(choice.key == "joint" and not choice.value for choice in vocabulary):
        why = "With separate vocabularies the output can share its weights with the target's embedding alone."
        choices.append(Choice("tied_embeddings", "target", why))
    pieces = max_pieces(lengths)
    why = f"Above cleaning.max_pieces = {pieces}; longer text is translated in segments."
    return [*choices, Choice("max_length", max(256, 64 * math.ceil((pieces + 1) / 64)), why)]


def choose_tokens(survey: TextSurvey, machine: Machine) -> tuple[int, str]:
    """Choose the target tokens of a step; return them and the reason."""
    if survey.pairs < FEW:
        return 1024, "Little data gains by small steps (Sennrich & Zhang 2019: 1,000 instead of 4,000)."
    if model_scale(survey, machine) == "base":
        why = "The paper's (Vaswani et al. 2017, section 5.1); large steps make good use of a GPU (Ott et al. 2018)."
        return 25_000, why
    if machine.is_gpu and survey.pairs >= 300_000:
        return 8192, "With this much data, larger steps give a better model (Popel & Bojar 2018)."
    return 4096, "As in the recipes of Multi30k and of IWSLT 2014, for corpora of like size or machines like this."


def choose_optimizer(scale: Scale, steps: int) -> list[Choice]:
    """Choose the learning rate and its schedule for a training of `steps`."""
    choices = []
    why = "The paper's: it needs no end that is known before, so early stopping may come at any step."
    if scale == "base":
        why += " The peak follows from the model's width and the warm-up (Vaswani et al. 2017, section 5.3)."
    elif scale == "medium":
        choices.append(Choice("learning_rate", 5e-4, "As in the recipe iwslt14-de-en, for this width and dropout."))
    else:
        peak = "Peak for a pre-norm model of width 256: Multi30k's recipe has it "
        peak += "(38.52 BLEU on test, recipes/README.md)."
        choices.append(Choice("learning_rate", 2e-3, peak))
    choices.append(Choice("schedule", "inverse-sqrt", why))
    if scale == "base":
        return [*choices, Choice("warmup_steps", 4000, "The paper's (Vaswani et al. 2017, section 5.3).")]
    most = 4000 if scale == "medium" else 1000
    why = f"An eighth of the steps, {most:,} at most; Multi30k's recipe has 300 of 2,500."
    return [*choices, Choice("warmup_steps", min(most, rounded(steps / 8)), why)]


def choose_training(
    survey: TextSurvey, lengths: PieceLengths, machine: Machine, tokens: int
) -> tuple[int, list[Choice]]:
    """Choose the section of the training; return its steps too."""
    scale = model_scale(survey, machine)
    steps, why = choose_steps(survey, lengths, machine, tokens)
    choices = [Choice("max_steps", steps, why)]
    smoothing, why = 0.1, "The paper's (Vaswani et al. 2017, section 5.4)."
    if survey.pairs < FEW:
        smoothing, why = 0.2, "More than the usual 0.1, as little data gains by it (Araabi & Monz 2020)."
    choices.append(Choice("label_smoothing", smoothing, why))
    if not machine.has_bfloat16:
        why = "The processor, or the GPU, has no instructions for bfloat16."
    elif machine.is_gpu:
        why = "This GPU computes it faster than float32; weights stay float32."
    else:
        why = "This processor has instructions for it; a training on such a processor made 11,527 tokens a second, "
        why += "in float32 3,891 (benchmarks/README.md)."
    choices.append(Choice("precision", "bfloat16" if machine.has_bfloat16 else "float32", why))
    why = "The model is the mean of the last 5 (Vaswani et al. 2017, section 6.1)"
    if scale == "base":
        share, validate, every, patience = "twentieth", 5000, 1000, 5
    else:
        share, validate, every, patience = "tenth", rounded(steps / 10), rounded(steps / 25), 4
        why += ", here the last fifth of the training"
    choices.append(Choice("checkpoint_every", every, f"{why}."))
    why = f"A {share} of the training: dev is translated as any text is."
    choices.append(Choice("validate_every", validate, why))
    why = f"Stops when {patience} validations in a row were no better: {patience * validate:,} steps."
    choices.append(Choice("patience", patience, why))
    if steps < 1000:
        choices.append(Choice("log_every", rounded(steps / 25), "The training is short."))
    return steps, choices


def choose_steps(survey: TextSurvey, lengths: PieceLengths, machine: Machine, tokens: int) -> tuple[int, str]:
    """Choose the steps of the training, each of `tokens` target tokens; return them and the reason."""
    scale, epoch = model_scale(survey, machine), survey.pairs * lengths.target_mean / tokens
    if scale == "base":
        steps, why = 100_000, "The paper's (Vaswani et al. 2017, section 5.2)"
    else:
        epochs = 60 if survey.pairs < FEW else 50 if scale == "medium" else 25 if survey.pairs < SMALL else 15
        steps, why = rounded(epochs * epoch), f"At most {epochs} epochs; early stopping may end it sooner"
        if not machine.is_gpu and steps > CPU_STEPS:
            steps, why = CPU_STEPS, f"No more on a CPU, where {epochs} epochs would take very long"
    why += f". An epoch is about {max(1, round(epoch)):,} steps: {lengths.target_mean:.1f} tokens a target line."
    return max(steps, 100), why


def choose_evaluation(survey: TextSurvey) -> list[Choice]:
    """Choose BLEU's tokenizer for the target language, where it is not the default one."""
    tokenize = tokenizer_for(survey.sides[1].language)
    if tokenize == tokenizer_for(None):
        return []
    why = "sacreBLEU's tokenizer for this language; `auto` does the same."
    if tokenize != "zh":
        why = f"{why} Needs {install_hint(tokenize[:2])}."
    return [Choice("tokenize", tokenize, why)]


def data_warnings(survey: TextSurvey) -> list[str]:
    """Return a warning for each sign that the data is too little, or is not what the user thinks."""
    warnings = []
    if survey.pairs < FEW:
        warnings.append(
            f"{survey.pairs:,} pairs are few: a model from scratch will translate badly; if there is a model of these "
            "languages, fine-tune it with --init-from MODEL"
        )
    for side in survey.sides:
        if side.own_script < 0.5 and side.scripts:
            warnings.append(
                f"only {side.own_script:.0%} of the lines of {side.language} are in a script of that language, most "
                f"letters are {next(iter(side.scripts))}: are SRC and TGT, or the columns, the other way round?"
            )
    return warnings


def rounded(number: float) -> int:
    """Round to two digits, at least 1.

    >>> rounded(2512)
    2500
    """
    if number < 1:
        return 1
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return round(number / unit) * unit
