"""Label-smoothed cross-entropy, summed over real tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = {"cpu": 256, "cuda": 4096}
"""Positions taken at once: few enough that their float32 logits stay in a processor's cache, or are small beside
the logits of a whole batch on a GPU."""


def smoothed_loss(logits: Tensor, labels: Tensor, *, smoothing: float) -> tuple[Tensor, Tensor]:
    """Sum, never average, over the real tokens of `logits` (N, V) against `labels` (N), padding left out.

    Returns the smoothed loss, which is differentiable, and the plain negative log-likelihood, which is what
    perplexity is made of; both float32 scalars in nats. As in Szegedy et al. 2016, section 7, eps/V goes to
    every class. The caller divides by the tokens of the whole update, so gradients do not depend on how the
    update was cut into micro-batches or spread over ranks.
    """
    loss, nll = _SmoothedLoss.apply(logits, labels, smoothing)  # type: ignore[no-untyped-call]
    return loss, nll


class _SmoothedLoss(torch.autograd.Function):
    """Loss and gradient in one pass over the logits, in float32 whatever their type.

    The gradient overwrites nothing and has the type of the logits: no float32 copy of them is ever whole.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        size = logits.size(-1)
        loss, nll = logits.new_zeros((), dtype=torch.float32), logits.new_zeros((), dtype=torch.float32)
        gradient = torch.empty_like(logits) if logits.requires_grad else None
        at_once = ROWS[logits.device.type]
        for start in range(0, len(logits), at_once):
            rows = slice(start, start + at_once)
            log_probs = logits[rows].float().log_softmax(-1)
            chosen_ids = labels[rows, None]
            chosen = log_probs.gather(-1, chosen_ids).sum()
            nll -= chosen
            loss -= (1 - smoothing) * chosen + smoothing / size * log_probs.sum()
            if gradient is not None:
                # d loss / d logits = softmax - smoothed target.
                probs = log_probs.exp_().sub_(smoothing / size)
                probs.scatter_add_(-1, chosen_ids, torch.full_like(chosen_ids, smoothing - 1, dtype=torch.float32))
                gradient[rows] = probs
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_outputs[0], None, None
