"""Label-smoothed cross-entropy, fused with the output layer's product."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PRODUCT = {"cpu": 2**24, "cuda": 2**27}
"""Logits computed at a time: enough for a fast product; no more of them ever exist."""
SOFTMAX = {"cpu": 2**20, "cuda": 2**27}
"""Logits converted to float32 at a time: few enough to stay in a processor's cache."""


def smoothed_loss(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    smoothing: float,
    bias: Tensor | None = None,
    compiled: bool = False,
) -> tuple[Tensor, Tensor]:
    """Sum the loss of the logits `hidden` (N, D) @ `weight` (V, D).T + `bias` (V) against `labels` (N).

    Returns the smoothed loss, which is differentiable, and the negative log-likelihood, for the perplexity; both
    float32 scalars in nats. As in Szegedy et al. 2016, section 7, eps/V goes to every class. Neither is averaged: the
    caller divides by the tokens of the whole update, so that gradients do not depend on its cut into micro-batches
    or ranks. `compiled` fuses the element-wise operations, by torch.compile.
    """
    # Asked here: autograd is off within the function, and a parameter requires a gradient even in validation.
    wants_gradient = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    arguments = (
        hidden,
        weight,
        bias,
        labels,
        smoothing,
        wants_gradient,
        compiled_loss() if compiled else loss_of_logits,
    )
    loss, nll = _SmoothedLoss.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss, nll


class _SmoothedLoss(torch.autograd.Function):
    """Logits, loss and both gradients, some rows at a time: memory does not grow with rows times vocabulary.

    Softmax and sums are float32; the products keep the type of their operands, but for those of `_product` on a GPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        smoothing: float,
        wants_gradient: bool,
        of_logits: "OfLogits",
    ) -> tuple[Tensor, Tensor]:
        device, size = hidden.device.type, len(weight)
        loss, nll = (torch.zeros((), device=hidden.device) for _ in range(2))
        d_hidden = torch.empty_like(hidden) if wants_gradient else hidden
        d_weight = torch.zeros(weight.shape if wants_gradient else 0, device=hidden.device)
        d_bias = None if bias is None else torch.zeros(size, device=hidden.device)
        at_once, few = max(1, PRODUCT[device] // size), max(1, SOFTMAX[device] // size)
        for start in range(0, len(hidden), at_once):
            rows = slice(start, start + at_once)
            logits = _product(hidden[rows], weight.T)
            if bias is not None:
                logits += bias
            # The gradient is written over the logits, unless they are exacter than the products below take it.
            d_logits = logits if logits.dtype == hidden.dtype else torch.empty_like(logits, dtype=hidden.dtype)
            parts = (tensor.split(few) for tensor in (logits, labels[rows, None], d_logits))
            for some, wanted, d_some in zip(*parts, strict=True):
                some_loss, some_nll = of_logits(some, wanted, d_some if wants_gradient else None, smoothing)
                loss += some_loss
                nll += some_nll
            if wants_gradient:
                torch.mm(d_logits, weight, out=d_hidden[rows])
                d_weight += _product(d_logits.T, hidden[rows])
                if d_bias is not None:
                    d_bias += d_logits.sum(0, dtype=torch.float32)
        d_bias = None if bias is None or d_bias is None else d_bias.to(bias.dtype)
        ctx.save_for_backward(d_hidden, d_weight.to(weight.dtype), d_bias)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        d_bias = None if d_bias is None else d_bias * grad_outputs[0]
        return d_hidden * grad_outputs[0], d_weight * grad_outputs[0], d_bias, None, None, None, None


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices; bfloat16 on a GPU without rounding the result, which it has in float32."""
    return torch.mm(a, b, out_dtype=torch.float32) if a.is_cuda and a.dtype == torch.bfloat16 else a @ b


def loss_of_logits(logits: Tensor, wanted: Tensor, d_logits: Tensor | None, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return loss and negative log-likelihood of `logits` (N, V) against `wanted` (N, 1); write their gradient.

    `d_logits` (N, V), of any floating type, may be `logits` itself, which are then lost.
    """
    exact, size = logits.float(), logits.size(-1)
    probs = exact.softmax(-1)
    # Log-sum-exp by way of the largest logit: cheaper than log-softmax and exp.
    total = (exact.amax(-1) - probs.amax(-1).log_()).sum()
    nll = total - exact.gather(-1, wanted).sum()
    loss = (1 - smoothing) * nll + smoothing * (total - exact.sum() / size)
    if d_logits is not None:
        # d loss / d logits = softmax - smoothed target
        probs -= smoothing / size
        certain = probs.gather(-1, wanted) - (1 - smoothing)
        # Scattered before the copy: in bfloat16 scatter_ copies all logits to float32 and back on a CPU.
        d_logits.copy_(probs.scatter_(-1, wanted, certain))
    return loss, nll


OfLogits = Callable[[Tensor, Tensor, Tensor | None, float], tuple[Tensor, Tensor]]


@functools.cache
def compiled_loss() -> OfLogits:
    """Return `loss_of_logits`, compiled for any number of rows."""
    return torch.compile(loss_of_logits, dynamic=True)
