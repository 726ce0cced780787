"""The gate of exports: a sample is translated by the exported model and by the native engine, and compared."""

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol, TypedDict

from sacrebleu.metrics.bleu import BLEU

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import EOS_ID, Tokenizer
from nmt.data.reading.archives import read_lines
from nmt.errors import ArtifactError, DataError
from nmt.files import digest_file
from nmt.inference.bundle import Bundle
from nmt.inference.engines.ctranslate2 import Quantization
from nmt.inference.protocol import Engine, Hypothesis, Pair, Request, Row, by_batch, nan_error

BEAMS = (1, 5)  # beam sizes at which, without a length penalty, both engines must find the same
DRAWN_LINES, DRAWN_LENGTHS, SEED = 240, (1, 2, 4, 8, 16, 32), 1
"""Number and lengths in pieces of the sources drawn from the vocabulary, equally many of each length."""
MOST_LINES = 1000  # lines read of a text given as the sample
TIE = 2e-4
"""Log-probabilities of a hypothesis that differ by no more are equal: rounding in float32 was seen to reach 8e-5."""
LEAST_BLEU = 35.0
"""BLEU that a quantized export must reach against the native translations: on drawn pieces int8 was seen at 70 and more
in CTranslate2 and 50 and more in nmt, on text at 93 and more in both; a wrong export is near 0."""
OWN, MOST_DIFFERING = "own_settings", 0.02
"""The search with the bundle's own settings, and the share of lines that may differ in it from the native engine's:
with a length penalty CTranslate2 has fewer hypotheses to choose from. At penalties of 0.6 and 1, 1 of 240 lines at most
was seen to differ, at 1.5 nearly all."""


class Searching(Protocol):
    """The part of an engine that is compared, see `Engine`."""

    @property
    def batch_tokens(self) -> int: ...
    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]: ...
    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]: ...


class Agreement(TypedDict):
    """Agreement of an export and the native engine in one search of the sample."""

    lines: int
    """Lines compared: in beam search not those where both engines end different translations by force, at their limit,
    for CTranslate2 keeps fewer to choose from."""
    differing: int  # lines with another translation, ties not counted
    ties: int  # lines with another translation that is as likely
    score_difference: float  # largest difference between the scores of the same translation
    bleu: float
    """BLEU over pieces, with the native translations as references; of n-grams no longer than the translations."""


def read_sample(path: Path, bundle: Bundle) -> list[list[int]]:
    """Return the ids of the first lines of `path`, without blank ones and those too long. Raises DataError."""
    rows = bundle.tokenizer.source.encode(list(islice(read_lines(path), MOST_LINES)))
    fitting = [ids for ids in rows if 0 < len(ids) < bundle.config.model.max_length]
    if not fitting:
        raise DataError(f"{path}: no line that the model takes", hint="give text in the source language")
    return fitting


def draw_sample(bundle: Bundle) -> list[list[int]]:
    """Draw sources from the vocabulary: this suits any language, and is harder than text, as rare pieces abound."""
    rng = random.Random(SEED)
    lengths = [min(length, bundle.config.model.max_length - 1) for length in DRAWN_LENGTHS]
    return [
        [rng.randrange(EOS_ID + 1, bundle.tokenizer.source_size) for _ in range(lengths[number % len(lengths)])]
        for number in range(DRAWN_LINES)
    ]


def describe_sample(path: Path | None) -> str:
    """Return what a manifest says of the sample: the SHA-256 of the text, or that it was drawn."""
    return digest_file(path) if path else "drawn from the vocabulary"


def compare(native: Engine, exported: Searching, sources: list[list[int]], bundle: Bundle) -> dict[str, Agreement]:
    """Compare both engines on `sources`: in greedy search, in beam search, and with the bundle's own settings."""
    own = bundle.config.decoding
    searches = {f"beam_{beam}": own.model_copy(update={"beam_size": beam, "length_penalty": 0.0}) for beam in BEAMS}
    return {
        name: agreement(native, exported, sources, decoding, bundle.tokenizer)
        for name, decoding in {**searches, OWN: own}.items()
    }


def agreement(
    native: Engine, exported: Searching, sources: list[list[int]], decoding: DecodingConfig, tokenizer: Tokenizer
) -> Agreement:
    """Compare the best hypotheses of both engines for `sources`."""
    of_engines = (best(engine, sources, decoding) for engine in (native, exported))
    lines = [
        (src, one, other)
        for src, one, other in zip(sources, *of_engines, strict=True)
        if decoding.beam_size == 1
        or one.ids == other.ids
        or min(len(one.ids), len(other.ids)) + 1 < Row(src).limit(decoding, native.target_limit)
    ]
    differing = [(src, one.ids, other.ids) for src, one, other in lines if one.ids != other.ids]
    ties = sum(is_tie(exported, *line) for line in differing)
    gaps = (abs(one.score - other.score) for _, one, other in lines if one.ids == other.ids)
    references = [" ".join(tokenizer.target.pieces(one.ids)) for _, one, _ in lines]
    hypotheses = [" ".join(tokenizer.target.pieces(other.ids)) for _, _, other in lines]
    bleu = BLEU(tokenize="none", effective_order=True, force=True)
    return {
        "lines": len(lines),
        "differing": len(differing) - ties,
        "ties": ties,
        "score_difference": max(gaps, default=0.0),
        "bleu": bleu.corpus_score(hypotheses, [references]).score if differing else 100.0,
    }


def best(engine: Searching, sources: list[list[int]], decoding: DecodingConfig) -> list[Hypothesis]:
    """Return the best hypothesis of each of `sources`. Raises ArtifactError where an output is not a number."""
    rows, request = [Row(ids) for ids in sources], Request(decoding)
    lengths = [len(ids) + 1 for ids in sources]
    batch_tokens = decoding.batch_tokens or engine.batch_tokens
    hypotheses = by_batch(rows, lengths, batch_tokens, lambda batches: engine.search(batches, request))
    if not all(hypotheses):
        raise nan_error()
    return [of_row[0] for of_row in hypotheses]


def is_tie(engine: Searching, src: list[int], one: list[int], other: list[int]) -> bool:
    """Whether two hypotheses of `src` are equally likely, as a whole or where they part: then rounding decides."""
    ((first, second),) = engine.score([[(src, one), (src, other)]])
    pairs = zip([*one, EOS_ID], [*other, EOS_ID], strict=False)
    parting = 1 + next(at for at, (a, b) in enumerate(pairs) if a != b)
    gaps = (sum(first) - sum(second), sum(first[:parting]) - sum(second[:parting]))
    return any(abs(gap) <= TIE for gap in gaps)


def check(
    parity: dict[str, Agreement], quantization: Quantization, hint: str = "choose another --quantization"
) -> None:
    """Refuse an export that does not translate as the native engine does. Raises ArtifactError with a `hint`."""
    for search, measured in parity.items():
        where = "with the model's own settings" if search == OWN else f"at {search.replace('_', ' ')}"
        allowed = MOST_DIFFERING * measured["lines"] if search == OWN else 0
        penalty = "lower decoding.length_penalty in its recipe, " if search == OWN else ""
        if quantization == "float32" and measured["differing"] > allowed:
            raise ArtifactError(
                f"the export is not kept: {where} it translates {measured['differing']} of {measured['lines']} "
                f"lines differently from the native engine (BLEU against it {measured['bleu']:.1f})",
                hint=f"{penalty}use the native engine, or compare on text: --sample FILE",
            )
        if measured["differing"] and measured["bleu"] < LEAST_BLEU:
            raise ArtifactError(
                f"the export is not kept: in {quantization}, {where}, its BLEU against the native engine is "
                f"{measured['bleu']:.1f} on {measured['lines']} lines, less than {LEAST_BLEU:.0f}",
                hint=f"{penalty}{hint}, or compare on text: --sample FILE",
            )
