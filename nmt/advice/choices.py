"""What a recipe says, chosen by what the data and the machine are: pure functions, each choice with its reason.

The reasons are written into the recipe. They name a paper, or what this project has measured: `recipes/README.md` and
`benchmarks/README.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nmt.data.languages import scripts_of
from nmt.evaluation.metrics import tokenizer_for

LEAST = 200
"""Training pairs under which nothing can be learned."""
FEW = 10_000
"""Training pairs under which a model from nothing translates badly (Koehn & Knowles 2017; Sennrich & Zhang 2019)."""
SMALL = 100_000
"""Training pairs under which means against learning by heart pay."""
LARGE = 1_000_000
"""Training pairs from which on the paper's settings hold; its own corpora had 4.5 and 36 million."""

LATIN = frozenset({"LATIN"})
VOCABULARY = ((2000, 1000), (FEW, 2000), (25_000, 4000), (300_000, 8000), (2_000_000, 16_000))
"""Pieces by training pairs; 32,000 beyond."""
RICH = 1500
"""Characters of a language from which on its alphabet counts as large: Chinese, Japanese, Korean."""
UNEVEN = 10
"""How many times the pairs of another a corpus has where the smaller ones get more weight."""
CPU_STEPS = 20_000
"""Most steps on a CPU."""
PIECES_CAP = 500
"""Most pieces of a training sentence; memory grows with the longest."""


@dataclass(frozen=True)
class Side:
    """What a sample of one side of the training text says of it."""

    code: str
    """Of the language."""
    words: float
    """Words a line."""
    longest: int
    """Characters that 999 of 1,000 lines do not go beyond."""
    alphabet: int
    """The commonest characters that together are 99.95% of the text."""
    scripts: dict[str, float]
    """Shares of the letters by script, the largest first."""
    own: float
    """Share of the lines at least half of whose letters are of the language's scripts."""


@dataclass(frozen=True)
class Found:
    """What was found in the training text."""

    source: Side
    target: Side
    corpora: dict[str, int]
    """Pairs of each corpus."""
    ratio: float
    """Characters of the longer side for one of the other."""

    @property
    def pairs(self) -> int:
        """Pairs of all corpora."""
        return sum(self.corpora.values())

    @property
    def sides(self) -> tuple[Side, Side]:
        """Source and target."""
        return self.source, self.target

    @property
    def shares_script(self) -> bool:
        """Tell whether a tenth of the letters of both sides is of the same script."""
        common = self.source.scripts.keys() & self.target.scripts.keys()
        return sum(min(side.scripts[script] for side in self.sides) for script in common) >= 0.1

    @property
    def is_rich(self) -> bool:
        """Tell whether a side has a large alphabet."""
        return max(side.alphabet for side in self.sides) >= RICH


@dataclass(frozen=True)
class Lengths:
    """What a tokenizer made of the sample."""

    target: float
    """Pieces of a target line in the mean, EOS included."""
    longest: int
    """Pieces that the longer side of 999 of 1,000 pairs does not go beyond, EOS left out."""


@dataclass(frozen=True)
class Machine:
    """Where the training is to run."""

    name: str
    """For a reason: `this GPU`, `a CPU of 2 cores`."""
    is_gpu: bool
    has_bfloat16: bool
    """Whether it computes bfloat16 itself."""


@dataclass(frozen=True)
class Choice:
    """A key of a section of the recipe, and why it has its value."""

    key: str
    value: Any
    why: str


Choices = dict[str, list[Choice]]
"""By section."""
ORDER = ("data", "cleaning", "tokenizer", "model", "batching", "optimizer", "training", "evaluation")
"""The sections as the recipe has them."""


def choose(found: Found, vocabulary: list[Choice], lengths: Lengths, machine: Machine, given: set[str]) -> Choices:
    """Choose all of a recipe but its corpora; `given` says whether `dev` and `test` are."""
    model, optimizer = choose_model(found, machine), choose_optimizer(found, machine)
    tokens = choose_tokens(found, machine)
    steps, training = choose_training(found, lengths, machine, tokens.value)
    if value_of(vocabulary, "joint") is False:
        why = "With separate vocabularies the output can share its weights with the target's embedding alone."
        model.append(Choice("tied_embeddings", "target", why))
    pieces = longest_pieces(lengths)
    why = f"Above cleaning.max_pieces = {pieces}; what is longer is translated in segments."
    model.append(Choice("max_length", max(256, 64 * math.ceil((pieces + 1) / 64)), why))
    return {
        "data": choose_data(found, given),
        "cleaning": choose_cleaning(found, lengths),
        "tokenizer": vocabulary,
        "model": model,
        "batching": [tokens],
        "optimizer": [*optimizer, choose_warmup(found, machine, steps)],
        "training": training,
        "evaluation": choose_evaluation(found),
    }


def value_of(choices: list[Choice], key: str) -> Any:
    """Return what was chosen for `key`; None where nothing was."""
    return next((choice.value for choice in choices if choice.key == key), None)


def choose_data(found: Found, given: set[str]) -> list[Choice]:
    """Choose what is split off where dev or test are not given, and how corpora are mixed."""
    choices = []
    for split, most, use in (
        ("dev", 1000, "for validation; Multi30k's dev, which its recipe was tuned on, has 1,014"),
        ("test", 2000, "as a test; the more lines, the smaller the differences that can be told (Koehn 2004)"),
    ):
        if split not in given:
            count = min(most, found.pairs // 20)
            why = f"No {split} files were given: a twentieth of the pairs, {most:,} at most, is split off {use}."
            choices.append(Choice(f"{split}_pairs", count, why))
    counts = found.corpora.values()
    if len(counts) > 1 and max(counts) >= UNEVEN * min(counts):
        why = (
            f"The corpora have {min(counts):,} to {max(counts):,} pairs: the smaller ones are seen more often than "
            "once an epoch, or the largest would drown them (Arivazhagan et al. 2019, section 4.2; there it is 5)."
        )
        choices.append(Choice("temperature", 1.5, why))
    return choices


def longest_pieces(lengths: Lengths) -> int:
    """Return the most pieces that a side of a training pair may have."""
    return min(PIECES_CAP, max(50, 10 * math.ceil(lengths.longest / 10)))


def choose_cleaning(found: Found, lengths: Lengths) -> list[Choice]:
    """Choose the filters whose defaults do not fit every pair of languages."""
    pieces = longest_pieces(lengths)
    known = f"Of the sample, 99.9% of the pairs have no side of more than {lengths.longest:,} pieces"
    why = f"{known}; longer ones are mostly misaligned, and cost memory."
    choices = [Choice("max_pieces", pieces, why)]
    longest = max(side.longest for side in found.sides)
    if longest > 1000:
        why = f"99.9% of the lines have at most {longest:,} characters; the default of 1,000 would drop many."
        choices.append(Choice("max_characters", 100 * math.ceil(longest / 100), why))
    if found.ratio > 1.5:
        why = (
            f"One side has {found.ratio:.1f} times the characters of the other, so the default of 4 would drop good "
            "pairs; this is 2.5 times that."
        )
        choices.append(Choice("max_ratio", max(4.0, math.ceil(2.5 * found.ratio * 2) / 2), why))
    others = [side for side in found.sides if scripts_of(side.code) != LATIN]
    if others and min(side.own for side in found.sides) >= 0.9:
        of = " and ".join(f"{side.own:.1%} of {side.code}" for side in found.sides)
        why = f"Drops what is not in its language's script, such as lines left untranslated; {of} pass in the sample."
        choices.append(Choice("min_script", 0.5, why))
    return choices


def choose_vocabulary(found: Found) -> list[Choice]:
    """Choose the section of the tokenizer."""
    pairs = found.pairs
    joint = found.shares_script or pairs < FEW
    size = next((size for most, size in VOCABULARY if pairs < most), 32_000)
    why = (
        f"For {pairs:,} pairs: a Transformer on little data wants few merges (Ding et al. 2019), and each piece wants "
        "to be seen often enough (Gowda & May 2020)"
    )
    why += "; Multi30k's recipe, 29,000 pairs, has 8,000." if size == 8000 else "."
    alphabet = max(side.alphabet for side in found.sides)
    if 2 * alphabet > size:
        size = 1000 * math.ceil(2 * alphabet / 1000)
        why = f"{alphabet:,} characters need a piece of their own, and as many are left for words."
    choices = [Choice("vocab_size", size, why)]
    if found.shares_script:
        why = "The two sides share a script, and what both spell alike is then the same pieces (Sennrich et al. 2016)."
    elif joint:
        why = f"The scripts differ, but {pairs:,} pairs are too few to fill two vocabularies."
    else:
        why = "The scripts differ, so hardly a piece would serve both sides; each has its own vocabulary of that size."
    choices.append(Choice("joint", joint, why))
    if found.is_rich:
        why = (
            "SentencePiece's documentation advises this for Chinese and Japanese; rarer characters fall back to bytes."
        )
        choices.append(Choice("character_coverage", 0.9995, why))
    else:
        why = "A small alphabet: every character gets a piece (SentencePiece's documentation)."
        choices.append(Choice("character_coverage", 1.0, why))
    why = "A character that training never saw is spelled in its bytes, so nothing becomes the unknown piece."
    choices.append(Choice("byte_fallback", True, why))
    if pairs < SMALL:
        why = (
            "BPE-dropout: words are split anew each time they are seen, which helps most where there is little text "
            "(Provilkov et al. 2020; 0.1 there)."
        )
        choices.append(Choice("sampling", 0.1, why))
    return choices


def lowered(choices: list[Choice], size: int) -> list[Choice]:
    """Return `choices` with a vocabulary of `size`, as the text allows no more."""
    why = "As the text has no more different pieces: found by training a tokenizer on it."
    return [Choice("vocab_size", size, why) if choice.key == "vocab_size" else choice for choice in choices]


def is_middling(found: Found, machine: Machine) -> bool:
    """Tell whether the model is of a size between `small` and `base`."""
    return machine.is_gpu and SMALL // 2 <= found.pairs < LARGE


def is_base(found: Found, machine: Machine) -> bool:
    """Tell whether the model is the paper's base model."""
    return machine.is_gpu and found.pairs >= LARGE


def choose_model(found: Found, machine: Machine) -> list[Choice]:
    """Choose the section of the model, but what hangs on the tokenizer."""
    if is_base(found, machine):
        why = (
            "The paper's base model (Vaswani et al. 2017, table 3); its big one had 28.4 BLEU instead of 27.3 on WMT14 "
            "English-German (table 2), for several times the work."
        )
        choices = [Choice("preset", "base", why)]
    elif is_middling(found, machine):
        why = (
            "Width and depth of the paper's base model (Vaswani et al. 2017, table 3), as in the recipe iwslt14-de-en."
        )
        choices = [Choice("preset", "base", why)]
        why = "Half of base's: there is less data than it is made for (compare Araabi & Monz 2020)."
        choices += [Choice("ffn", 1024, why), Choice("heads", 4, why)]
    elif machine.is_gpu:
        why = (
            "Width 256 and 3+3 layers: little data wants a small model (Araabi & Monz 2020), as Multi30k's recipe has."
        )
        choices = [Choice("preset", "small", why)]
    else:
        why = (
            "Width 256 and 3+3 layers, which a CPU trains in reasonable time: Multi30k's recipe took 19 minutes on two "
            "cores (recipes/README.md). With a GPU, let `nmt init` write it anew."
        )
        choices = [Choice("preset", "small", why)]
    why = "Trains stably with a short warm-up and a high learning rate (Xiong et al. 2020; Wang et al. 2019)."
    choices.append(Choice("norm", "pre", why))
    if found.pairs < FEW:
        dropout, why = 0.3, "Little data is learned by heart without it (Sennrich & Zhang 2019; Araabi & Monz 2020)."
    elif is_middling(found, machine):
        dropout, why = 0.3, "A wide model for this data (Araabi & Monz 2020), as in the recipe iwslt14-de-en."
    elif found.pairs < SMALL:
        dropout, why = 0.2, "On Multi30k, 29,000 pairs, 0.2 gave 39.23 BLEU on dev and 0.3 gave 39.02."
    else:
        dropout, why = 0.1, "The paper's, for data that is not soon learned by heart (Vaswani et al. 2017, table 3)."
    return [*choices, Choice("dropout", dropout, why)]


def choose_tokens(found: Found, machine: Machine) -> Choice:
    """Choose the target tokens of a step."""
    key = "tokens_per_step"
    if found.pairs < FEW:
        return Choice(key, 1024, "Little data gains by small steps (Sennrich & Zhang 2019: 1,000 instead of 4,000).")
    if is_base(found, machine):
        why = "The paper's (Vaswani et al. 2017, section 5.1); large steps make good use of a GPU (Ott et al. 2018)."
        return Choice(key, 25_000, why)
    if machine.is_gpu and found.pairs >= 300_000:
        why = "The larger the steps, the better the model that this much data gives (Popel & Bojar 2018)."
        return Choice(key, 8192, why)
    return Choice(
        key, 4096, "As in the recipes of Multi30k and of IWSLT 2014, corpora of like size or machines like this."
    )


def choose_optimizer(found: Found, machine: Machine) -> list[Choice]:
    """Choose the learning rate and how it falls."""
    choices = []
    if is_middling(found, machine):
        choices.append(Choice("learning_rate", 5e-4, "As in the recipe iwslt14-de-en, for this width and dropout."))
    elif not is_base(found, machine):
        why = (
            "Peak for a pre-norm model of width 256: Multi30k's recipe has it (38.52 BLEU on test, recipes/README.md)."
        )
        choices.append(Choice("learning_rate", 2e-3, why))
    why = "The paper's: it needs no end that is known before, so early stopping may come at any step."
    if is_base(found, machine):
        why += " The peak follows from the model's width and the warm-up (Vaswani et al. 2017, section 5.3)."
    return [*choices, Choice("schedule", "inverse-sqrt", why)]


def choose_warmup(found: Found, machine: Machine, steps: int) -> Choice:
    """Choose the steps of warm-up for a training of so many steps."""
    if is_base(found, machine):
        return Choice("warmup_steps", 4000, "The paper's (Vaswani et al. 2017, section 5.3).")
    most = 4000 if is_middling(found, machine) else 1000
    why = f"An eighth of the steps, {most:,} at most; Multi30k's recipe has 300 of 2,500."
    return Choice("warmup_steps", min(most, max(1, rounded(steps / 8))), why)


def choose_training(found: Found, lengths: Lengths, machine: Machine, tokens: int) -> tuple[int, list[Choice]]:
    """Choose the section of the training; also return its steps."""
    epoch = found.pairs * lengths.target / tokens
    if is_base(found, machine):
        steps, why = 100_000, "The paper's (Vaswani et al. 2017, section 5.2)"
    else:
        epochs = 60 if found.pairs < FEW else 50 if is_middling(found, machine) else 25 if found.pairs < SMALL else 15
        steps, why = rounded(epochs * epoch), f"At most {epochs} epochs; early stopping may end it sooner"
        if not machine.is_gpu and steps > CPU_STEPS:
            steps, why = CPU_STEPS, f"No more on a CPU, where {epochs} epochs would take very long"
    steps = max(steps, 100)
    why += f". An epoch is about {max(1, round(epoch)):,} steps: {lengths.target:.1f} tokens a target line."
    choices = [Choice("max_steps", steps, why)]
    if found.pairs < FEW:
        why = "More than the usual 0.1, as little data gains by it (Araabi & Monz 2020)."
        choices.append(Choice("label_smoothing", 0.2, why))
    else:
        choices.append(Choice("label_smoothing", 0.1, "The paper's (Vaswani et al. 2017, section 5.4)."))
    precision = "bfloat16" if machine.has_bfloat16 else "float32"
    if not machine.has_bfloat16:
        why = "The processor, or the GPU, has no instructions for bfloat16."
    elif machine.is_gpu:
        why = "This GPU computes it faster than float32; weights stay float32."
    else:
        why = "This processor has instructions for it; with such ones a training made 11,527 tokens a second, "
        why += "in float32 3,891 (benchmarks/README.md)."
    choices.append(Choice("precision", precision, why))
    validate = 5000 if is_base(found, machine) else rounded(steps / 10)
    every = 1000 if is_base(found, machine) else rounded(steps / 25)
    why = "The model is the mean of the last 5 (Vaswani et al. 2017, section 6.1), here the last fifth of the training."
    if is_base(found, machine):
        why = "The model is the mean of the last 5 (Vaswani et al. 2017, section 6.1)."
    choices.append(Choice("checkpoint_every", every, why))
    share = "twentieth" if is_base(found, machine) else "tenth"
    choices.append(Choice("validate_every", validate, f"A {share} of the training: dev is translated as any text is."))
    patience = 5 if is_base(found, machine) else 4
    why = f"Stops when {patience} validations in a row were no better: {patience * validate:,} steps."
    choices.append(Choice("patience", patience, why))
    if steps < 1000:
        choices.append(Choice("log_every", max(1, rounded(steps / 25)), "The training is short."))
    return steps, choices


def choose_evaluation(found: Found) -> list[Choice]:
    """Choose how BLEU cuts the target language into words, where that is not by spaces and punctuation."""
    tokenize = tokenizer_for(found.target.code)
    if tokenize == tokenizer_for(None):
        return []
    why = "How sacreBLEU cuts this language into words; `auto` does the same."
    if tokenize != "zh":
        why = f'{why} Needs pip install "nmt[{tokenize[:2]}]".'
    return [Choice("tokenize", tokenize, why)]


def doubts(found: Found) -> list[str]:
    """Say what of the data may not be as the user thinks, or is not enough."""
    said = []
    if found.pairs < FEW:
        said.append(
            f"{found.pairs:,} pairs are few: a model from nothing will translate badly; if there is a model of these "
            "languages, fine-tune it with --init-from MODEL"
        )
    for side in found.sides:
        if side.own < 0.5 and side.scripts:
            said.append(
                f"only {side.own:.0%} of the lines of {side.code} are in a script of that language, most letters are "
                f"{next(iter(side.scripts))}: are SRC and TGT, or the columns, the other way round?"
            )
    return said


def rounded(number: float) -> int:
    """Round to two digits, at least 1.

    >>> rounded(2512)
    2500
    """
    if number < 1:
        return 1
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return round(number / unit) * unit
