"""The engine of this package: the model in PyTorch, searched by `search`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.training import Precision
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.errors import UsageError
from nmt.inference.bundle import open_bundle
from nmt.inference.protocol import Hypothesis, Matrix, Request, Row
from nmt.inference.search import pad, search
from nmt.model.protocol import Model
from nmt.runtime import pick_device

ROWS = 512
"""Positions whose logits exist at once where a target is given: as a whole they are positions times vocabulary."""


def pairs(batch: list[tuple[list[int], list[int]]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what the model reads of both sides: sources with EOS (B, S), targets with BOS (B, T)."""
    sources, targets = [[*src, EOS_ID] for src, _ in batch], [[BOS_ID, *tgt] for _, tgt in batch]
    return pad(sources, device), pad(targets, device)


def forced(model: Model, src: Tensor, tgt_in: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probabilities (N) of `labels` (N), which follow the pieces of `tgt_in` (B, T), row by row."""
    hidden = model.hidden(src, tgt_in)[tgt_in != PAD_ID]  # (N, D)
    found = []
    for some, wanted in zip(hidden.split(ROWS), labels.split(ROWS), strict=True):
        logits = model.generator(some).float()
        found.append(logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(1))
    return torch.cat(found)


class NativeEngine:
    """One model, or several that translate together."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models

    @classmethod
    def load(cls, paths: Sequence[Path], *, device: str, precision: Precision) -> NativeEngine:
        """Load the models of the bundles at `paths`. Raises ArtifactError, UsageError."""
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        return cls([open_bundle(path).model().to(pick_device(device), kind).eval() for path in paths])

    @property
    def device(self) -> torch.device:
        return self.models[0].device

    @property
    def target_limit(self) -> int:
        """Longest target in pieces, EOS included."""
        return min(model.position_limit for model in self.models)

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        """Return for each row of each batch its hypotheses, best first; none where the model is no number."""
        for batch in batches:
            yield search(self.models, batch, request)

    @torch.inference_mode()
    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        """Return for each pair of source and target the log-probability of every target piece, EOS last."""
        for batch in batches:
            src, tgt_in = pairs(batch, self.device)
            labels = torch.tensor([piece for _, tgt in batch for piece in (*tgt, EOS_ID)], device=self.device)
            found = torch.stack([forced(model, src, tgt_in, labels) for model in self.models])
            log_probs = found.logsumexp(0) - math.log(len(self.models))  # of the mean of the probabilities
            yield [some.tolist() for some in log_probs.cpu().split([len(tgt) + 1 for _, tgt in batch])]

    @torch.inference_mode()
    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        """Return for each pair of source and target what each target piece attends to; see `Engine`.

        It is that of the step which predicts the piece, by default in the last layer but one (Garg et al. 2019). The
        step that reads it (Chen et al. 2020) would already attend to the source of the piece after it: measured in
        each layer of a model of three. Of several models it is the mean.
        """
        depths = [model.decoder_depth for model in self.models]
        if layer is not None and not 1 <= layer <= min(depths):
            raise UsageError(f"there is no decoder layer {layer}: the model has {min(depths)}, counted from 1")
        for batch in batches:
            src, tgt_in = pairs(batch, self.device)
            of_models = [
                model.attention(src, tgt_in, layer or max(depth - 1, 1))
                for model, depth in zip(self.models, depths, strict=True)
            ]
            weights = torch.stack(of_models).mean(0).cpu()
            yield [rows[: len(tgt), : len(src)].tolist() for rows, (src, tgt) in zip(weights, batch, strict=True)]
