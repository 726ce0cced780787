"""Loading: from the folders of bundles to an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.config.decoding import InferencePrecision
from nmt.config.inference import EngineName, InferenceConfig
from nmt.cores import cores
from nmt.errors import UsageError
from nmt.inference.bundle import Bundle, open_bundle
from nmt.inference.engines.ctranslate2 import CTranslate2Engine
from nmt.inference.protocol import Engine
from nmt.runtime import import_extra

if TYPE_CHECKING:
    from nmt.inference.engines.native import NativeEngine


def open_bundles(paths: Sequence[Path]) -> list[Bundle]:
    """Open the bundles of an ensemble.

    Raises ArtifactError, and UsageError where one does not translate, or their vocabularies differ.
    """
    first, *others = bundles = [open_bundle(path) for path in paths]
    for bundle in bundles:
        bundle.check_translates()
    for other in others:
        if any(first.config.files.get(name) != other.config.files.get(name) for name in first.tokenizer.files):
            raise UsageError(
                f"{other.path} does not share the vocabulary of {first.path}",
                hint="the models of an ensemble share a tokenizer: train them with --init-from, or with other seeds",
            )
    return bundles


@dataclass(frozen=True)
class EnginePlan:
    """The inputs of an engine; they can be sent to another process."""

    paths: list[Path]  # folders of verified bundles
    inference: InferenceConfig
    precision: InferencePrecision = "float32"  # of the native engine

    def load(self) -> Engine:
        """Load the engine into this process. Raises ArtifactError, UsageError."""
        return engine_called(self.inference.engine).load(self.paths, self.inference, self.precision)


def engine_called(name: EngineName) -> "type[CTranslate2Engine | NativeEngine]":
    """Return the class of the engine `name`; the native one imports torch. Raises UsageError where it is missing."""
    if name == "ctranslate2":
        return CTranslate2Engine
    exported = "take the engine ctranslate2, if the model has an export"
    return import_extra("nmt.inference.engines.native", "train", "the engine native", instead=exported).NativeEngine


def check_device(inference: InferenceConfig) -> None:
    """Check that `inference` asks for no more processes than there are GPUs or, on a CPU, cores. Raises UsageError."""
    count, usable = inference.devices, cores()
    has_gpus = False
    if inference.device == "cuda" or (inference.device == "auto" and count > usable):
        try:
            engine_called(inference.engine).check_gpus(count)
            has_gpus = True
        except UsageError:
            if inference.device == "cuda":
                raise
    if count > usable and not has_gpus:
        raise UsageError(f"{count} processes share the cores, and {usable} can be used here", hint="lower --devices")
