"""Exports of a bundle to other engines: each is kept only once it has translated as the native engine does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.batching import by_tokens
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, UNK_ID, Tokenizer
from nmt.errors import ArtifactError, DataError
from nmt.files import digest_file, replacing
from nmt.inference.bundle import WEIGHTS, Bundle, open_bundle
from nmt.inference.engines.ctranslate2 import (
    ENGINE,
    EXPORT,
    EXPORTS,
    FORMAT,
    CTranslate2Engine,
    Export,
    import_ctranslate2,
)
from nmt.inference.protocol import Engine, Hypothesis, Request, Row
from nmt.version import __version__

if TYPE_CHECKING:
    from torch import Tensor


Quantization = Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32"]

BEAMS = (1, 5)
"""Greedy and beam search, without a length penalty, have to find the same as the native engine."""
DRAWN_LINES, DRAWN_LENGTHS, SEED = 240, (1, 2, 4, 8, 16, 32), 1
"""The sample where no text is given: sources of so many pieces, drawn from the vocabulary, as many of each length."""
MOST_LINES = 1000
"""Lines of a given text that are translated."""
TIE = 2e-4
"""Log-probabilities of a hypothesis that differ by no more are equal: rounding in float32 was seen to reach 8e-5."""
LEAST_BLEU = 50.0
"""What a quantized export has to reach against the native translations: int8 was seen at 70 and more on drawn pieces,
97 on text; a wrong one is near 0."""


class Agreement(TypedDict):
    """How an export and the native engine compare, by one search of the sample."""

    lines: int
    """Lines compared: by beam search those alone whose translations do not reach their limit. There both engines end a
    hypothesis by force, and CTranslate2 keeps fewer to choose from."""
    differing: int
    """Lines with another translation, ties not counted."""
    ties: int
    """Lines with another translation that is as likely."""
    score_difference: float
    """Largest difference of the scores of a translation that is the same."""
    bleu: float
    """BLEU over pieces, the native translations being the references."""


def export_ctranslate2(path: Path, *, quantization: Quantization, name: str, sample: Path | None) -> dict[str, Any]:
    """Write the bundle at `path` for CTranslate2 to its folder `exports/NAME`; return the manifest.

    The file `sample`, or else sources drawn from the vocabulary, is translated by both engines first. Raises
    ArtifactError where they do not agree, and nothing is written; UsageError where CTranslate2 is missing.
    """
    package = import_ctranslate2()
    bundle = open_bundle(path)
    sources = read_sample(sample, bundle) if sample else draw_sample(bundle)
    model = bundle.model().eval()
    from nmt.inference.engines.native import NativeEngine

    try:
        with replacing(path / EXPORTS / name) as scratch:
            scratch.mkdir()
            spec = ctranslate2_spec(model, bundle.tokenizer)
            spec.validate()
            spec.optimize(quantization=quantization)
            spec.save(str(scratch))
            pieces = (side.pieces(range(side.size)) for side in (bundle.tokenizer.source, bundle.tokenizer.target))
            exported = CTranslate2Engine(Export(scratch, quantization, model.position_limit, *pieces), device="cpu")
            parity = compare(NativeEngine([model]), exported, sources, bundle)
            check(parity, quantization)
            manifest = {
                "format": FORMAT,
                "nmt": __version__,
                "engine": ENGINE,
                "version": package.__version__,
                "quantization": quantization,
                "target_limit": model.position_limit,
                "weights": bundle.config.files[WEIGHTS],
                "sample": digest_file(sample) if sample else "drawn from the vocabulary",
                "parity": parity,
                "files": {file.name: digest_file(file) for file in sorted(scratch.iterdir())},
            }
            EXPORT.write(scratch, manifest)
    except ArtifactError:
        with suppress(OSError):  # there may be other exports
            (path / EXPORTS).rmdir()
        raise
    return manifest


def read_sample(path: Path, bundle: Bundle) -> list[list[int]]:
    """Return the ids of the first lines of `path` that are not blank and fit the model. Raises DataError."""
    from nmt.data.reading.archives import read_lines

    rows = bundle.tokenizer.encode_source(list(islice(read_lines(path), MOST_LINES)))
    fitting = [ids for ids in rows if 0 < len(ids) < bundle.config.model.max_length]
    if not fitting:
        raise DataError(f"{path}: no line that the model takes", hint="give text in the source language")
    return fitting


def draw_sample(bundle: Bundle) -> list[list[int]]:
    """Draw sources from the vocabulary: of any language, and harder than text, for all pieces are odd there."""
    rng = random.Random(SEED)
    lengths = [min(length, bundle.config.model.max_length - 1) for length in DRAWN_LENGTHS]
    return [
        [rng.randrange(EOS_ID + 1, bundle.tokenizer.source_size) for _ in range(lengths[number % len(lengths)])]
        for number in range(DRAWN_LINES)
    ]


def compare(native: Engine, exported: Engine, sources: list[list[int]], bundle: Bundle) -> dict[str, Agreement]:
    """Translate `sources` by both engines, greedily, by a beam, and as the bundle is set."""
    own = bundle.config.decoding
    searches = {f"beam_{beam}": own.model_copy(update={"beam_size": beam, "length_penalty": 0.0}) for beam in BEAMS} | {
        "own_settings": own
    }
    return {
        name: agreement(native, exported, sources, decoding, bundle.tokenizer) for name, decoding in searches.items()
    }


def agreement(
    native: Engine, exported: Engine, sources: list[list[int]], decoding: DecodingConfig, tokenizer: Tokenizer
) -> Agreement:
    """Search `sources` by both engines and compare what they find."""
    from nmt.evaluation.metrics import score

    lines = [
        (src, one, other)
        for src, one, other in zip(
            sources, best(native, sources, decoding), best(exported, sources, decoding), strict=True
        )
        if decoding.beam_size == 1
        or max(len(one.ids), len(other.ids)) + 1 < Row(src).limit(decoding, native.target_limit)
    ]
    others = [(src, one.ids, other.ids) for src, one, other in lines if one.ids != other.ids]
    ties = sum(is_tie(exported, *line) for line in others)
    wanted = [" ".join(tokenizer.target.pieces(one.ids)) for _, one, _ in lines]
    found = [" ".join(tokenizer.target.pieces(other.ids)) for _, _, other in lines]
    return {
        "lines": len(lines),
        "differing": len(others) - ties,
        "ties": ties,
        "score_difference": max(
            (abs(one.score - other.score) for _, one, other in lines if one.ids == other.ids), default=0.0
        ),
        "bleu": score(found, [wanted], tokenize="none", metrics=["bleu"])["bleu"]["score"] if lines else 0.0,
    }


def best(engine: Engine, sources: list[list[int]], decoding: DecodingConfig) -> list[Hypothesis]:
    """Return the best hypothesis of each of `sources`."""
    batches = by_tokens([len(ids) + 1 for ids in sources], decoding.batch_tokens)
    found: dict[int, list[Hypothesis]] = {}
    rows = ([Row(sources[at]) for at in batch] for batch in batches)
    for batch, hypotheses in zip(batches, engine.search(rows, Request(decoding)), strict=True):
        found.update(zip(batch, hypotheses, strict=True))
    if not all(found.values()):
        raise ArtifactError("the model's output is not a number", hint="its training diverged")
    return [found[at][0] for at in range(len(sources))]


def is_tie(engine: Engine, src: list[int], one: list[int], other: list[int]) -> bool:
    """Tell whether two hypotheses of `src` are as likely, whole or where they part; then rounding has chosen."""
    ((first, second),) = engine.score([[(src, one), (src, other)]])
    pairs = zip([*one, EOS_ID], [*other, EOS_ID], strict=False)
    parting = 1 + next(at for at, (a, b) in enumerate(pairs) if a != b)
    gaps = (sum(first) - sum(second), sum(first[:parting]) - sum(second[:parting]))
    return any(abs(gap) <= TIE for gap in gaps)


def check(parity: dict[str, Agreement], quantization: Quantization) -> None:
    """Refuse an export that does not translate as the native engine does. Raises ArtifactError."""
    for beam in BEAMS:
        found = parity[f"beam_{beam}"]
        if quantization == "float32" and found["differing"]:
            raise ArtifactError(
                f"the export is not kept: at beam {beam} it translates {found['differing']} of {found['lines']} lines "
                f"otherwise than the native engine (BLEU against it {found['bleu']:.1f})",
                hint="take the native engine; or compare on text, by --sample FILE",
            )
        if found["lines"] and found["bleu"] < LEAST_BLEU:
            raise ArtifactError(
                f"the export is not kept: in {quantization}, at beam {beam}, its BLEU against the native engine is "
                f"{found['bleu']:.1f} on {found['lines']} lines, less than {LEAST_BLEU:.0f}",
                hint="take another --quantization; or compare on text, by --sample FILE",
            )


def ctranslate2_spec(model: Any, tokenizer: Tokenizer) -> Any:
    """Return `model` as CTranslate2 describes it, with its weights and vocabularies."""
    from ctranslate2.specs import TransformerSpec

    first: Any = model.encoder[0]
    # All else is by default as in the paper: ReLU, embeddings times sqrt(D).
    spec = TransformerSpec.from_config(
        (len(model.encoder), len(model.decoder)), first.self_attention.heads, pre_norm=first.pre_norm
    )
    sides: list[tuple[Any, Any, Any, Any, Any]] = [
        (spec.encoder, spec.encoder.embeddings[0], model.encoder, model.encoder_norm, model.source_embedding),
        (spec.decoder, spec.decoder.embeddings, model.decoder, model.decoder_norm, model.target_embedding),
    ]
    for side, embeddings, layers, final_norm, embedding in sides:
        embeddings.weight = numbers([embedding.weight])
        side.position_encodings.encodings = numbers([model.positions.table])
        if first.pre_norm:
            set_norm(side.layer_norm, final_norm)
        for there, here in zip(side.layer, layers, strict=True):
            set_linear(there.self_attention.linear[0], here.self_attention.query, here.self_attention.key_value)
            set_linear(there.self_attention.linear[1], here.self_attention.output)
            set_norm(there.self_attention.layer_norm, here.self_attention_norm)
            set_linear(there.ffn.linear_0, here.feed_forward.inner)
            set_linear(there.ffn.linear_1, here.feed_forward.outer)
            set_norm(there.ffn.layer_norm, here.feed_forward_norm)
    for there, here in zip(spec.decoder.layer, model.decoder_layers, strict=True):
        set_linear(there.attention.linear[0], here.cross_attention.query)
        set_linear(there.attention.linear[1], here.cross_attention.key_value)
        set_linear(there.attention.linear[2], here.cross_attention.output)
        set_norm(there.attention.layer_norm, here.cross_attention_norm)
    set_linear(spec.decoder.projection, model.generator)
    spec.register_source_vocabulary(tokenizer.source.pieces(range(tokenizer.source_size)))
    spec.register_target_vocabulary(tokenizer.target.pieces(range(tokenizer.target_size)))
    config = spec.config
    config.bos_token, config.eos_token, config.unk_token = tokenizer.target.pieces([BOS_ID, EOS_ID, UNK_ID])
    config.decoder_start_token = config.bos_token
    config.add_source_bos, config.add_source_eos = False, True
    config.layer_norm_epsilon = first.self_attention_norm.eps
    return spec


def set_linear(spec: Any, *layers: Any) -> None:
    """Give `spec` the weights of `layers` that have the same input, one below the other."""
    spec.weight = numbers([layer.weight for layer in layers])
    if layers[0].bias is not None:
        spec.bias = numbers([layer.bias for layer in layers])


def set_norm(spec: Any, norm: Any) -> None:
    """Give `spec` the weights of a LayerNorm."""
    spec.gamma, spec.beta = numbers([norm.weight]), numbers([norm.bias])


def numbers(tensors: Sequence[Tensor]) -> Any:
    """Return `tensors`, one below the other, as an array of its own: what quantizes it writes into it."""
    import numpy as np

    return np.concatenate([tensor.detach().float().cpu().numpy() for tensor in tensors])
