"""The native engine: the model in PyTorch."""

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from nmt import runtime
from nmt.config.decoding import InferencePrecision
from nmt.config.inference import InferenceConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.devices import pick_device
from nmt.errors import ArtifactError, UsageError
from nmt.inference.bundle import WEIGHTS, Bundle, open_bundle
from nmt.inference.constraints import pad
from nmt.inference.protocol import BATCH_TOKENS, TASK_ROWS, Hypothesis, Matrix, Pair, Request, Row
from nmt.inference.search import search
from nmt.model import int8
from nmt.model.families import build_undrawn, check_shapes
from nmt.model.preparation import prepare
from nmt.model.protocol import Model
from nmt.model.tensors import INT8, load_tensors, read_shapes

ROWS = 512  # positions whose logits exist at once in scoring: all logits together would be positions times vocabulary


def load_model(bundle: Bundle) -> Model:
    """Build the model of a bundle and load its weights, whose shapes are compared first. Raises ArtifactError."""
    config, sizes = bundle.config.model, (bundle.tokenizer.source_size, bundle.tokenizer.target_size)
    path, in_int8 = bundle.path / WEIGHTS, bundle.config.quantized is not None
    try:
        check_shapes(read_shapes(path, *[INT8] * in_int8), config, *sizes, in_int8=in_int8)
        model = build_undrawn(config, *sizes, in_int8=in_int8)
        model.load_weights(load_tensors(path))
        model.aligns = bundle.config.aligns
    except ValueError as error:
        raise ArtifactError(f"{path}: does not hold this model: {error}") from None
    return model


def check_precision(precision: InferencePrecision, device: torch.device) -> None:
    """Raise UsageError where the native engine cannot compute in `precision` on `device`."""
    if precision == "int8" and device.type != "cpu":
        raise UsageError("int8 is for a CPU", hint="take the device cpu, or another precision")
    if precision == "int8" and not int8.is_exact():
        raise UsageError("int8 needs a processor with exact 8-bit products (VNNI)", hint="take float32")


def check_kernel(config: ModelConfig, precision: InferencePrecision) -> None:
    """Raise UsageError where the attention of a model of `config` cannot be computed in `precision`."""
    if precision == "int8" and config.attention_kernel != "softmax":
        raise UsageError(f"int8 has no model.attention_kernel = {config.attention_kernel}", hint="take float32")


def pad_pairs(batch: list[Pair], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the model's inputs: sources with EOS (B, S), targets with BOS (B, T)."""
    sources, targets = [[*src, EOS_ID] for src, _ in batch], [[BOS_ID, *tgt] for _, tgt in batch]
    return pad(sources, device), pad(targets, device)


def label_log_probs(model: Model, src: Tensor, tgt_in: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probabilities (N) of `labels` (N), the next pieces at the real positions of `tgt_in` (B, T)."""
    hidden = model.hidden(src, tgt_in)[tgt_in != PAD_ID]  # (N, D)
    log_probs = []
    for rows, of_rows in zip(hidden.split(ROWS), labels.split(ROWS), strict=True):
        logits = model.generator(rows).float()
        log_probs.append(logits.gather(1, of_rows[:, None])[:, 0] - logits.logsumexp(1))
    return torch.cat(log_probs)


class NativeEngine:
    """One model, or an ensemble of several."""

    workers = 1

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        self._one_at_a_time = threading.Lock()  # each thread of its own would share the cores with the others

    @classmethod
    def load(cls, paths: Sequence[Path], inference: InferenceConfig, precision: InferencePrecision) -> Self:
        """Load the models of the bundles at `paths`; torch chooses the threads by default.

        Raises ArtifactError, UsageError.
        """
        runtime.keep_freed_memory()
        runtime.bound_kernels()
        if inference.threads is not None:
            torch.set_num_threads(inference.threads)
        device = pick_device(inference.device)
        check_precision(precision, device)
        bundles = [open_bundle(path) for path in paths]
        for bundle in bundles:
            check_kernel(bundle.config.model, precision)
        return cls([prepare(load_model(bundle).to(device), precision) for bundle in bundles])

    @staticmethod
    def check_gpus(count: int) -> None:
        """Raise UsageError where torch cannot use as many GPUs."""
        pick_device("cuda", count)

    @property
    def device(self) -> torch.device:
        return self.models[0].device

    @property
    def task_rows(self) -> int:
        return TASK_ROWS[self.device.type]

    @property
    def target_limit(self) -> int:
        return min(model.position_limit for model in self.models)

    @property
    def batch_tokens(self) -> int:
        return BATCH_TOKENS[self.device.type]

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            with self._one_at_a_time:
                found = search(self.models, batch, request)
            yield found

    @torch.inference_mode()
    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        for batch in batches:
            src, tgt_in = pad_pairs(batch, self.device)
            labels = torch.tensor([piece for _, tgt in batch for piece in (*tgt, EOS_ID)], device=self.device)
            with self._one_at_a_time:
                of_models = torch.stack([label_log_probs(model, src, tgt_in, labels) for model in self.models])
            log_probs = of_models.logsumexp(0) - math.log(len(self.models))  # of the mean of the probabilities
            yield [of_pair.tolist() for of_pair in log_probs.cpu().split([len(tgt) + 1 for _, tgt in batch])]

    @torch.inference_mode()
    def attention(self, batches: Iterable[list[Pair]], layer: int | None) -> Iterator[list[Matrix]]:
        """Return the attention of the target pieces of each pair, for an ensemble the mean; see `Engine`.

        The attention of a piece is taken at the step that predicts it, by default in the last layer but one (Garg et
        al. 2019), there of its first head alone where that was trained to align. The step that has the piece as input
        (Chen et al. 2020) attends to the source of the next piece: measured in each layer of a model with three.
        """
        depths = [model.decoder_depth for model in self.models]
        if layer is not None and not 1 <= layer <= min(depths):
            raise UsageError(f"there is no decoder layer {layer}: the model has {min(depths)}, counted from 1")
        for batch in batches:
            src, tgt_in = pad_pairs(batch, self.device)
            with self._one_at_a_time:
                of_models = [model.attention(src, tgt_in, layer) for model in self.models]
            weights = torch.stack(of_models).mean(0).cpu()
            yield [rows[: len(tgt), : len(src)].tolist() for rows, (src, tgt) in zip(weights, batch, strict=True)]
