"""Loading: from the folders of bundles to an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.config.inference import DeviceName, EngineName
from nmt.config.training import Precision
from nmt.errors import UsageError
from nmt.inference.bundle import Bundle, open_bundle
from nmt.inference.engines.ctranslate2 import CTranslate2Engine
from nmt.inference.engines.workers import Workers
from nmt.inference.protocol import Engine


def open_bundles(paths: Sequence[Path]) -> list[Bundle]:
    """Open the bundles of an ensemble. Raises ArtifactError, and UsageError where their vocabularies differ."""
    first, *others = bundles = [open_bundle(path) for path in paths]
    for other in others:
        if any(first.config.files.get(name) != other.config.files.get(name) for name in first.tokenizer.files):
            raise UsageError(
                f"{other.path} does not share the vocabulary of {first.path}",
                hint="the models of an ensemble share a tokenizer: train them with --init-from, or with other seeds",
            )
    return bundles


@dataclass(frozen=True)
class EnginePlan:
    """The settings of an engine; they can be sent to another process."""

    paths: list[Path]
    """Folders of verified bundles."""
    engine: EngineName = "native"
    device: DeviceName = "auto"
    precision: Precision = "float32"
    threads: int | None = None
    export: str | None = None
    """Name of the bundle's export, for engines that need one; by default the only export."""

    def load(self) -> Engine:
        """Load the engine into this process. Raises ArtifactError, UsageError."""
        if self.engine == "ctranslate2":
            if self.precision != "float32":
                raise UsageError("the precision of an export is its own", hint="nmt export has --quantization")
            return CTranslate2Engine.load(self.paths, device=self.device, threads=self.threads, export=self.export)
        from nmt.inference.engines.native import NativeEngine  # imports torch

        return NativeEngine.load(self.paths, device=self.device, precision=self.precision, threads=self.threads)

    def share(self, devices: int) -> Engine:
        """Load the engine into each of `devices` processes, which share the batches."""
        return Workers(self, devices)
