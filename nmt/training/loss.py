"""Label-smoothed cross-entropy over the vocabulary, summed over real tokens, together with the product it is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

PRODUCT = {"cpu": 2**24, "cuda": 2**27}
"""Logits computed at once: enough for a fast product, and all of them that ever exist."""
SOFTMAX = {"cpu": 2**20, "cuda": 2**27}
"""Logits that are float32 at once: few enough to stay in a processor's cache."""


def smoothed_loss(hidden: Tensor, weight: Tensor, labels: Tensor, *, smoothing: float) -> tuple[Tensor, Tensor]:
    """Sum, never average, the loss of the logits `hidden` (N, D) @ `weight` (V, D).T against `labels` (N).

    Returns the smoothed loss, which is differentiable, and the plain negative log-likelihood, which is what
    perplexity is made of; both float32 scalars in nats. As in Szegedy et al. 2016, section 7, eps/V goes to
    every class. The caller divides by the tokens of the whole update, so gradients do not depend on how the
    update was cut into micro-batches or spread over ranks.
    """
    # Asked here: within the function autograd is off, and a parameter says that it wants a gradient even in validation.
    wants_gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    loss, nll = _SmoothedLoss.apply(hidden, weight, labels, smoothing, wants_gradient)  # type: ignore[no-untyped-call]
    return loss, nll


class _SmoothedLoss(torch.autograd.Function):
    """Logits, loss and both gradients, some rows at a time: memory does not grow with rows times vocabulary.

    Softmax and sums are float32 whatever the type of the operands, which the products keep.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, smoothing: float, wants_gradient: bool
    ) -> tuple[Tensor, Tensor]:
        device, size = hidden.device.type, len(weight)
        loss, nll = (torch.zeros((), device=hidden.device) for _ in range(2))
        d_hidden = torch.empty_like(hidden) if wants_gradient else hidden
        d_weight = torch.zeros(weight.shape if wants_gradient else 0, device=hidden.device)
        at_once = max(1, PRODUCT[device] // size)
        for start in range(0, len(hidden), at_once):
            rows = slice(start, start + at_once)
            logits = hidden[rows] @ weight.T
            for some, wanted in _pieces(logits, labels[rows, None], max(1, SOFTMAX[device] // size)):
                exact = some.float()
                probs = exact.softmax(-1)
                # The log of the sum of exponentials, by way of the largest: cheaper than log-softmax and exp.
                total = (exact.amax(-1) - probs.amax(-1).log_()).sum()
                some_nll = total - exact.gather(-1, wanted).sum()
                nll += some_nll
                loss += (1 - smoothing) * some_nll + smoothing * (total - exact.sum() / size)
                if wants_gradient:
                    # d loss / d logits = softmax - smoothed target; it takes the place of the logits.
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


def _pieces(logits: Tensor, labels: Tensor, rows: int) -> Iterable[tuple[Tensor, Tensor]]:
    """Yield views of so many rows."""
    return zip(logits.split(rows), labels.split(rows), strict=True)
