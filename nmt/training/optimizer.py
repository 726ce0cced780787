"""Adam and the learning-rate schedule (Vaswani et al. 2017, section 5.3)."""

import math
from collections.abc import Iterable

import torch

from nmt.config.training import OptimizerConfig


def learning_rate(step: int, config: OptimizerConfig, *, d_model: int, max_steps: int) -> float:
    """Return the learning rate of update `step`, counted from 1.

    Linear warm-up to the peak, then the inverse square root of the step (eq. 3 of the paper, whose peak is
    the default), or linear decay to 0 just after `max_steps`.
    """
    warmup = config.warmup_steps
    peak = config.learning_rate or 1 / math.sqrt(d_model * warmup)
    if step <= warmup:
        return peak * step / warmup
    if config.schedule == "inverse-sqrt":
        return peak * math.sqrt(warmup / step)
    return peak * (max_steps + 1 - step) / (max_steps + 1 - warmup)


def make_adam(parameters: Iterable[torch.Tensor], config: OptimizerConfig) -> torch.optim.Adam:
    """Make the optimizer; its learning rate is set before each step."""
    return torch.optim.Adam(parameters, lr=0.0, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)
