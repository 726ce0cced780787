"""The export of a bundle to one in int8, for nmt itself: kept only if it translates nearly as the first does."""

from pathlib import Path

import torch

from nmt.config.inference import InferenceConfig
from nmt.exporting.parity import Agreement, check, compare, describe_sample, draw_sample, read_sample
from nmt.files import check_new_folder, read_json, replacing
from nmt.inference.bundle import BUNDLE, CONFIG, INT8, LOCK, WEIGHTS, Quantized, open_bundle, write_bundle
from nmt.inference.confidence import read_calibration, write_calibration
from nmt.inference.engines.native import NativeEngine, check_kernel, check_precision, load_model
from nmt.model.preparation import prepare, quantize_model


def export_int8(path: Path, folder: Path, *, sample: Path | None) -> dict[str, Agreement]:
    """Write the bundle at `path` with weights in int8 to the new `folder`; return the agreement by search.

    Both bundles translate the file `sample`, or else sources drawn from the vocabulary. Raises ArtifactError where
    they do not agree, and nothing is written; UsageError where `folder` is in use, the bundle is in int8 already, or
    this processor cannot compute in int8, or the model has attention that is not computed in it.
    """
    check_precision("int8", torch.device("cpu"))
    bundle = open_bundle(path)
    bundle.check_translates()
    bundle.check_float32()
    check_kernel(bundle.config.model, "int8")
    check_new_folder(folder)
    sources = read_sample(sample, bundle) if sample else draw_sample(bundle)
    origin = Quantized(bundle=read_json(path / CONFIG)["digest"], sample=describe_sample(sample))
    decoding = bundle.config.decoding.model_copy(update={"precision": "int8"})
    config = bundle.config.model_copy(update={"format": INT8, "decoding": decoding, "quantized": origin})
    model = load_model(bundle).eval()
    quantize_model(model)
    with replacing(folder) as scratch:
        write_bundle(scratch, model.weights(), path, read_json(path / LOCK), config)
        native = NativeEngine([prepare(load_model(bundle), "float32")])
        exported = NativeEngine.load([scratch], InferenceConfig(device="cpu"), "int8")
        parity = compare(native, exported, sources, bundle)
        check(parity, "int8", "use the bundle in float32")
        written = open_bundle(scratch).config
        measured = origin.model_copy(update={"parity": parity})
        BUNDLE.write(scratch, written.model_copy(update={"quantized": measured}).model_dump())
        if calibration := read_calibration(bundle):  # which says in which precision it was made
            own = calibration.model_copy(update={"weights": written.files[WEIGHTS]})
            write_calibration(scratch, own)
    return parity
