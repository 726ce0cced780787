"""The optimizers and the learning-rate schedule (Vaswani et al. 2017, section 5.3)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from nmt.config.training import OptimizerConfig, Precision

NO_MATRICES = ("embedding", "positions", "generator")  # in names: their rows are vectors of pieces or positions
MUON_MOMENTUM, MUON_RMS = 0.95, 0.2
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315
"""Coefficients of Jordan et al. 2024: they do not converge, but bring singular values near 1 in few steps."""
NEWTON_SCHULZ_STEPS = 5
EPSILON = 1e-7  # beside a norm, which may be 0


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


def make_optimizers(
    parameters: Mapping[str, Tensor], config: OptimizerConfig, precision: Precision = "float32"
) -> list[torch.optim.Optimizer]:
    """Make the optimizers of `parameters` by name; their learning rate is set before each step.

    Each takes no step where its `found_inf`, a scalar tensor, is 1.
    """
    matrices = {
        name: parameter
        for name, parameter in parameters.items()
        if config.algorithm == "muon" and parameter.ndim == 2 and not any(word in name for word in NO_MATRICES)
    }
    adam = make_adam((parameter for name, parameter in parameters.items() if name not in matrices), config)
    return [adam, Muon(matrices, getattr(torch, precision))] if matrices else [adam]


def make_adam(parameters: Iterable[Tensor], config: OptimizerConfig) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=0.0, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True)


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, for the weights of linear maps (Jordan et al. 2024, "Muon").

    An update has the root mean square that Adam's has in practice, 0.2 times the learning rate, whatever the shape of
    the matrix (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2), so that both share one rate.
    """

    found_inf: Tensor

    def __init__(self, matrices: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
        """Take `matrices` by name; their updates are made orthogonal in the precision `dtype`."""
        double = {name for name in matrices if name.endswith("key_value.weight")}  # two matrices in one
        groups = [
            {
                "params": [matrix for name, matrix in matrices.items() if (name in double) == (parts == 2)],
                "parts": parts,
            }
            for parts in (1, 2)
        ]
        super().__init__([group for group in groups if group["params"]], {"lr": 0.0})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]  # noqa: ARG002 - torch's argument
        """Take a step with the gradients, unless `found_inf` is 1: then they may be anything."""
        keep = 1 - self.found_inf
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)  # all of a shape at once
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = torch.where(keep.bool(), parameter.grad, 0)
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(gradient, (1 - MUON_MOMENTUM) * keep)
                ahead = gradient.lerp_(momentum, MUON_MOMENTUM)  # Nesterov's momentum
                for part, direction in zip(*(x.chunk(group["parts"]) for x in (parameter, ahead)), strict=True):
                    wide = (part, direction) if part.size(0) <= part.size(1) else (part.T, direction.T)
                    alike[wide[0].shape].append(wide)
        for shape, pairs in alike.items():
            directions = orthogonalize(torch.stack([direction for _, direction in pairs]).to(self.dtype)).float()
            directions *= -self.param_groups[0]["lr"] * MUON_RMS * math.sqrt(shape[1]) * keep
            for (part, _), direction in zip(pairs, directions, strict=True):
                part += direction


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return `matrices` (N, rows <= columns) with all singular values made about 1, by Newton and Schulz's iteration.

    Their singular values come out between about 0.7 and 1.2, which serves an optimizer as well as 1.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + EPSILON)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x
