"""Label-smoothed cross-entropy, fused with the output layer's product."""

from typing import Any

import torch
from torch import Tensor

PRODUCT = {"cpu": 2**24, "cuda": 2**27}
"""Logits computed at a time: enough for a fast product; no more of them ever exist."""
SOFTMAX = {"cpu": 2**20, "cuda": 2**27}
"""Logits converted to float32 at a time: few enough to stay in a processor's cache."""


def smoothed_loss(hidden: Tensor, weight: Tensor, labels: Tensor, *, smoothing: float) -> tuple[Tensor, Tensor]:
    """Sum the loss of the logits `hidden` (N, D) @ `weight` (V, D).T against `labels` (N).

    Returns the smoothed loss, which is differentiable, and the negative log-likelihood, for the perplexity; both
    float32 scalars in nats. As in Szegedy et al. 2016, section 7, eps/V goes to every class. Neither is averaged: the
    caller divides by the tokens of the whole update, so that gradients do not depend on its cut into micro-batches
    or ranks.
    """
    # Asked here: autograd is off within the function, and a parameter requires a gradient even in validation.
    wants_gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    loss, nll = _SmoothedLoss.apply(hidden, weight, labels, smoothing, wants_gradient)  # type: ignore[no-untyped-call]
    return loss, nll


class _SmoothedLoss(torch.autograd.Function):
    """Logits, loss and both gradients, some rows at a time: memory does not grow with rows times vocabulary.

    Softmax and sums are float32; the products keep the type of their operands.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, smoothing: float, wants_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        device, size = hidden.device.type, len(weight)
        loss, nll = (torch.zeros((), device=hidden.device) for _ in range(2))
        d_hidden = torch.empty_like(hidden) if wants_gradient else hidden
        d_weight = torch.zeros(weight.shape if wants_gradient else 0, device=hidden.device)
        at_once, few = max(1, PRODUCT[device] // size), max(1, SOFTMAX[device] // size)
        for start in range(0, len(hidden), at_once):
            rows = slice(start, start + at_once)
            logits = hidden[rows] @ weight.T
            for some, wanted in zip(logits.split(few), labels[rows, None].split(few), strict=True):
                exact = some.float()
                probs = exact.softmax(-1)
                # Log-sum-exp by way of the largest logit: cheaper than log-softmax and exp.
                total = (exact.amax(-1) - probs.amax(-1).log_()).sum()
                some_nll = total - exact.gather(-1, wanted).sum()
                nll += some_nll
                loss += (1 - smoothing) * some_nll + smoothing * (total - exact.sum() / size)
                if wants_gradient:
                    # d loss / d logits = softmax - smoothed target, written over the logits.
                    probs -= smoothing / size
                    certain = torch.full_like(wanted, smoothing - 1, dtype=torch.float32)
                    some.copy_(probs.scatter_add_(-1, wanted, certain))
            if wants_gradient:
                torch.mm(logits, weight, out=d_hidden[rows])
                d_weight += logits.T @ hidden[rows]
        ctx.save_for_backward(d_hidden, d_weight.to(weight.dtype))
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_hidden, d_weight = ctx.saved_tensors
        return d_hidden * grad_outputs[0], d_weight * grad_outputs[0], None, None, None
