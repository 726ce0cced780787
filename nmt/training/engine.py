"""One update: float32 weights, passes in the precision asked for, the same whatever the micro-batches."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from nmt.config import OptimizerConfig, Precision
from nmt.data.dataset import Batch
from nmt.data.tokenizer import PAD_ID
from nmt.files import digest
from nmt.model.transformer import Transformer
from nmt.training.checkpoint import moments_of, restore_moments
from nmt.training.loss import smoothed_loss
from nmt.training.optimizer import make_adam


class Engine:
    """Float32 weights and their optimizer, with a copy of the weights in the precision that computes."""

    def __init__(self, model: Transformer, config: OptimizerConfig, precision: Precision) -> None:
        self.model = model
        self.names = list(model.weights())
        self.parameters: list[Tensor] = list(model.parameters())
        self.clip_norm = config.clip_norm
        self.optimizer = make_adam(self.parameters, config)
        # In bfloat16 the whole pass runs on a copy of the weights, cast once an update: no cast within it.
        self.working = model if precision == "float32" else copy.deepcopy(model).bfloat16()
        self.working_parameters: list[Tensor] = list(self.working.parameters())
        self.gradients = [torch.zeros_like(parameter) for parameter in self.parameters]
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient

    def update(self, batches: list[Batch], *, rate: float, seed: int, smoothing: float) -> UpdateResult:
        """Take one optimizer step over all of `batches`, the micro-batches of the step.

        The loss is divided by the real target tokens of them all, so the cut into micro-batches does not
        change the update. `seed` decides the dropout: no generator has a state that outlives a step.
        """
        torch.manual_seed(seed)
        self.working.train()
        tokens = sum(batch.target_tokens for batch in batches)
        torch._foreach_zero_(self.gradients)
        total_loss = total_nll = torch.zeros((), device=self.gradients[0].device)
        for batch in batches:
            real = batch.labels != PAD_ID
            logits = self.working(batch.src, batch.tgt_in, real)
            loss, nll = smoothed_loss(logits, batch.labels[real], smoothing=smoothing)
            (loss / tokens).backward()
            if self.working is not self.model:
                for gradient, parameter in zip(self.gradients, self.working_parameters, strict=True):
                    gradient += cast("Tensor", parameter.grad)
                    parameter.grad = None
            total_loss, total_nll = total_loss + loss.detach(), total_nll + nll
        norm = torch.nn.utils.get_total_norm(self.gradients)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.cast()
        return UpdateResult(total_loss, total_nll, norm, tokens)

    @torch.no_grad()
    def cast(self) -> None:
        """Bring the copy up to date with the weights."""
        if self.working is not self.model:
            torch._foreach_copy_(self.working_parameters, self.parameters)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the weights and the optimizer's moments, by name."""
        return self.model.weights(), moments_of(self.optimizer, self.names)

    def restore(self, weights: dict[str, Tensor], moments: dict[str, Tensor]) -> None:
        """Put back what `state` returned. Raises ValueError where it is another model's."""
        self.model.load_weights(weights)
        restore_moments(self.optimizer, self.names, moments)
        self.cast()


@dataclass(frozen=True)
class UpdateResult:
    """What one update saw; tensors, so that nothing waits for the device."""

    loss: Tensor
    """Smoothed loss, summed over the tokens, in nats."""
    nll: Tensor
    """The same without smoothing."""
    gradient_norm: Tensor
    """Before clipping."""
    tokens: int
    """Real target tokens, EOS included."""


def step_seed(seed: int, step: int) -> int:
    """Return the seed of update `step`; neighbours share nothing."""
    return int(digest(f"{seed}/{step}")[:15], 16)
