"""The export of a bundle to CTranslate2: kept only if it translates as the native engine does."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path

from nmt.config.model import EXPORTED, ModelConfig
from nmt.errors import ArtifactError, UsageError
from nmt.exporting.parity import Agreement, check, compare, describe_sample, draw_sample, read_sample
from nmt.exporting.tokenizers import ODD, export_tokenizers
from nmt.files import check_writable, digest_file, replacing
from nmt.inference.bundle import WEIGHTS, open_bundle
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


def export_ctranslate2(
    path: Path, *, quantization: Quantization, name: str, sample: Path | None
) -> dict[str, Agreement]:
    """Write the bundle at `path` for CTranslate2 to its folder `exports/NAME`; return the agreement by search.

    Both engines translate the file `sample`, or else sources drawn from the vocabulary. Raises ArtifactError
    where they do not agree, and nothing is written; UsageError where CTranslate2 is missing, or has no such model.
    """
    package = import_ctranslate2()
    converting = import_module("nmt.exporting.converter")  # imports the package, an optional extra
    bundle = open_bundle(path)
    bundle.check_translates()
    bundle.check_float32()
    check_shape(bundle.config.model)
    check_writable(path / EXPORTS / name)
    sources = read_sample(sample, bundle) if sample else draw_sample(bundle)
    texts = bundle.tokenizer.source.decode(sources)
    if not sample:
        sources += [ids for ids in bundle.tokenizer.source.encode(ODD) if len(ids) < bundle.config.model.max_length]
    model = load_model(bundle).eval()
    converter = converting.converter(model, bundle.config.model, bundle.tokenizer)
    try:
        with replacing(path / EXPORTS / name) as scratch:
            converter.convert(str(scratch), quantization=quantization)
            layer = converter.alignment_layer
            export = Export(scratch, quantization, model.position_limit, *bundle.tokenizer.pieces, layer)
            exported = CTranslate2Engine(export, device="cpu")
            parity = compare(NativeEngine([model]), exported, sources, bundle)
            check(parity, quantization)
            models = export_tokenizers(bundle.tokenizer, scratch, texts)
            manifest = {
                "format": EXPORT.format,
                "nmt": __version__,
                "engine": ENGINE,
                "version": package.__version__,
                "quantization": quantization,
                "compute_type": exported.compute_type,  # of this processor, with which the parity was measured
                "target_limit": model.position_limit,
                "alignment_layer": layer,
                "weights": bundle.config.files[WEIGHTS],
                "sample": describe_sample(sample),
                "parity": parity,
                "tokenizers": models,
                "files": {file.name: digest_file(file) for file in sorted(scratch.iterdir())},
            }
            EXPORT.write(scratch, manifest)
    except ArtifactError:
        with suppress(OSError):  # the folder may hold other exports
            (path / EXPORTS).rmdir()
        raise
    return parity


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
    if window := config.attention_window:
        raise UsageError(f"CTranslate2's encoder has no model.attention_window, which is {window}", hint=native)
