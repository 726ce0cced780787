"""The export of a bundle to CTranslate2: kept only if it translates as the native engine does."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TypedDict

from nmt.config.model import EXPORTED, ModelConfig
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.parity import Agreement, check, compare, describe_sample, draw_sample, read_sample
from nmt.exporting.tokenizers import ODD, Exported, export_tokenizers
from nmt.files import check_writable, digest_file, replacing
from nmt.inference.bundle import WEIGHTS, Bundle, open_bundle
from nmt.inference.engines.ctranslate2 import (
    ENGINE,
    EXPORT,
    EXPORTS,
    CTranslate2Engine,
    Export,
    Quantization,
    import_ctranslate2,
)
from nmt.inference.engines.native import NativeEngine, load_model
from nmt.version import __version__


class Manifest(TypedDict):
    """How a model was converted."""

    nmt: str
    engine: str
    version: str
    quantization: Quantization
    compute_type: str  # of this processor, with which the parity was measured
    target_limit: int
    alignment_layer: int | None
    weights: str
    sample: str
    parity: dict[str, Agreement]
    tokenizers: dict[str, Exported]


def export_ctranslate2(path: Path, *, quantization: Quantization, name: str, sample: Path | None) -> Manifest:
    """Write the bundle at `path` for CTranslate2 to its folder `exports/NAME`; return how it was converted.

    Both engines translate the file `sample`, or else sources drawn from the vocabulary. Raises ArtifactError
    where they do not agree, and nothing is written; UsageError where CTranslate2 is missing, or has no such model.
    """
    import_ctranslate2()
    bundle = open_convertible(path)
    check_writable(path / EXPORTS / name)
    try:
        with replacing(path / EXPORTS / name) as scratch:
            manifest = convert(bundle, scratch, quantization, sample)
            files = {file.name: digest_file(file) for file in sorted(scratch.iterdir())}
            EXPORT.write(scratch, {"format": EXPORT.format, **manifest, "files": files})
    except ArtifactError:
        with suppress(OSError):  # the folder may hold other exports
            (path / EXPORTS).rmdir()
        raise
    return manifest


def open_convertible(path: Path) -> Bundle:
    """Open the bundle at `path`. Raises UsageError where CTranslate2 has no such model, ArtifactError."""
    bundle = open_bundle(path)
    bundle.check_translates()
    bundle.check_float32()
    bundle.check_plain_text()
    check_shape(bundle.config.model)
    return bundle


def convert(
    bundle: Bundle, folder: Path, quantization: Quantization, sample: Path | None, *, least_positions: int = 0
) -> Manifest:
    """Write the model of `bundle` and its SentencePiece models to `folder`, and compare both engines on the sample.

    Sines and cosines are written for `least_positions`, be they more than the model's. Raises ArtifactError where the
    engines do not agree.
    """
    converting = import_module("nmt.exporting.converter")  # imports the package, an optional extra
    sources = read_sample(sample, bundle) if sample else draw_sample(bundle)
    texts = bundle.tokenizer.source.decode(sources)
    if not sample:
        sources += [ids for ids in bundle.tokenizer.source.encode(ODD) if len(ids) < bundle.config.model.max_length]
    model = load_model(bundle).eval()
    converter = converting.converter(model, bundle.config.model, bundle.tokenizer, least_positions)
    converter.convert(str(folder), quantization=quantization)
    layer = converter.alignment_layer
    export = Export(folder, quantization, model.position_limit, *bundle.tokenizer.pieces, layer)
    exported = CTranslate2Engine(export, device="cpu")
    parity = compare(NativeEngine([model]), exported, sources, bundle)
    check(parity, quantization)
    return {
        "nmt": __version__,
        "engine": ENGINE,
        "version": import_ctranslate2().__version__,
        "quantization": quantization,
        "compute_type": exported.compute_type,
        "target_limit": model.position_limit,
        "alignment_layer": layer,
        "weights": bundle.config.files[WEIGHTS],
        "sample": describe_sample(sample),
        "parity": parity,
        "tokenizers": export_tokenizers(bundle.tokenizer, folder, texts),
    }


def check_shape(config: ModelConfig) -> None:
    """Raise UsageError where CTranslate2 has no such model."""
    native = "translate with the native engine, or take --to int8"
    if config.architecture not in EXPORTED:
        raise UsageError(f"CTranslate2 has no model of the architecture {config.architecture}", hint=native)
    if len(config.stacks) == 1 and config.tied_embeddings != "all":
        raise UsageError(
            f'model.tied_embeddings = "{config.tied_embeddings}": a decoder of CTranslate2 has one embedding for both '
            "sides",
            hint=f'{native}, or train with tied_embeddings = "all"',
        )
    if config.attention_kernel != "softmax":
        raise UsageError(
            f"CTranslate2 has no model.attention_kernel = {config.attention_kernel}",
            hint="translate with the native engine",
        )
    if config.positions == "none":
        raise UsageError('model.positions = "none": a decoder of CTranslate2 has positions', hint=native)
    if window := config.attention_window:
        raise UsageError(f"CTranslate2's encoder has no model.attention_window, which is {window}", hint=native)
