"""One update: float32 weights, passes in the precision asked for, the same whatever the micro-batches and ranks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from nmt.config.training import OptimizerConfig, Precision
from nmt.data.encoding.dataset import Batch
from nmt.files import digest
from nmt.model.protocol import Model
from nmt.training.checkpoint import EMA, MOMENTS, WEIGHTS, Checkpoint, moments_of, restore_moments
from nmt.training.distributed import Ranks
from nmt.training.objectives import translation_loss
from nmt.training.optimizer import make_adam

WINDOW = 100
"""Updates whose loss is remembered, to tell a loss that is off."""
ENOUGH = 20
"""Updates to be remembered before any is called off."""
FAR = 2.5
"""A loss of more than so many times the median of the window is off."""
GUARD = "guard."
"""What the guard remembers is saved among the optimizer's moments, under this prefix."""


class Engine:
    """Float32 weights and their optimizer, with a copy of the weights in the precision that computes."""

    def __init__(
        self,
        model: Model,
        config: OptimizerConfig,
        precision: Precision = "float32",
        ranks: Ranks | None = None,
        *,
        ema_decay: float | None = None,
        compiled: bool = False,
    ) -> None:
        self.model = model
        self.ranks = ranks or Ranks()
        self.names = list(model.weights())
        self.parameters: list[Tensor] = list(model.parameters())
        self.device = self.parameters[0].device
        self.clip_norm = config.clip_norm
        self.optimizer = make_adam(self.parameters, config)
        # In bfloat16 the whole pass runs on a copy of the weights, cast once an update: no cast within it.
        self.working = model if precision == "float32" else copy.deepcopy(model).bfloat16()
        self.working_parameters: list[Tensor] = list(self.working.parameters())
        if compiled:
            self.working.compile_layers()
        # All gradients and the two sums of losses lie in one row, which the ranks add up at once.
        sizes = [parameter.numel() for parameter in self.parameters]
        self.row = torch.zeros(sum(sizes) + 2, device=self.device)
        self.flat, self.sums = self.row[:-2], self.row[-2:]
        self.gradients = [
            part.view_as(parameter) for part, parameter in zip(self.flat.split(sizes), self.parameters, strict=True)
        ]
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        self.ema_decay = ema_decay
        self.shipping = model if ema_decay is None else copy.deepcopy(model)
        """The model that is validated and shipped: the moving average where one is kept."""
        self.guard = {
            "recent": torch.full((WINDOW,), torch.nan, device=self.device),
            "skipped": torch.zeros((), device=self.device),
            "in_a_row": torch.zeros((), device=self.device),
        }

    def accumulate(self, batches: list[Batch], *, seed: int, smoothing: float, tokens: int) -> None:
        """Sum gradients over `batches`, this rank's passes of one step; whatever was summed before is forgotten.

        The loss is divided by `tokens`, the real target tokens of the whole step on all ranks, so neither the cut
        into passes nor the number of ranks changes the update. `seed` decides the dropout: no generator has a
        state that outlives a step. May raise what `is_out_of_memory` knows; then call again with smaller passes.
        """
        torch.manual_seed(seed)
        self.working.train()
        self.row.zero_()
        for parameter in self.working_parameters if self.working is not self.model else []:
            parameter.grad = None
        for batch in batches:
            loss, nll = translation_loss(self.working, batch, smoothing=smoothing)
            (loss / tokens).backward()
            if self.working is not self.model:
                for gradient, parameter in zip(self.gradients, self.working_parameters, strict=True):
                    gradient += cast("Tensor", parameter.grad)
                    parameter.grad = None
            self.sums += torch.stack([loss.detach(), nll])

    @torch.no_grad()
    def apply(self, step: int, *, rate: float, tokens: int) -> UpdateResult:
        """Take optimizer step number `step` with the accumulated gradients of all ranks, or skip it.

        It is skipped where loss or gradient is no number or the loss is far above its recent median: on the
        device, which nobody waits for.
        """
        self.ranks.add_up(self.row)
        loss, nll = self.sums.clone().unbind()
        norm = self.flat.norm()
        is_off = self.judge(step, loss / tokens, norm)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.found_inf = is_off  # type: ignore[attr-defined]  # what the fused kernel asks before it writes
        self.optimizer.step()
        self.cast()
        if self.ema_decay is not None:
            # Short at first, or the random start would weigh for long.
            decay = min(self.ema_decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.shipping.parameters()), self.parameters, 1 - decay)
        return UpdateResult(torch.where(is_off.bool(), torch.nan, loss), nll, norm, tokens)

    def judge(self, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """Return 1.0 where update `step` is off, else 0.0, and remember it; `loss` is that of a token."""
        recent = self.guard["recent"]
        # The median by hand, NaN being sorted last: torch's own may wait for the device to count them.
        known = recent.isfinite().sum()
        median = recent.sort().values.index_select(0, ((known - 1) // 2).clamp_min(0)[None])[0]
        limit = torch.where(known >= ENOUGH, FAR * median, torch.inf)
        is_off = ~(loss.isfinite() & norm.isfinite() & (loss <= limit))
        recent[step % WINDOW] = torch.where(is_off, recent[step % WINDOW], loss)
        self.guard["skipped"] += is_off
        self.guard["in_a_row"].add_(1).mul_(is_off)
        return is_off.float()

    def skipped(self) -> tuple[int, int]:
        """Return how many updates were skipped, and how many of them in a row just now. Waits for the device."""
        return int(self.guard["skipped"]), int(self.guard["in_a_row"])

    @torch.no_grad()
    def cast(self) -> None:
        """Bring the copy up to date with the weights."""
        if self.working is not self.model:
            torch._foreach_copy_(self.working_parameters, self.parameters)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Return the weights, the optimizer's moments and the moving average if there is one, by file and name."""
        guard = {GUARD + name: tensor for name, tensor in self.guard.items()}
        files = {WEIGHTS: self.model.weights(), MOMENTS: {**moments_of(self.optimizer, self.names), **guard}}
        return files if self.ema_decay is None else {**files, EMA: self.shipping.weights()}

    def restore(self, found: Checkpoint) -> None:
        """Put back what `state` returned. Raises ValueError where it is another model's."""
        moments = found.moments()
        for name, tensor in self.guard.items():
            tensor.copy_(moments.pop(GUARD + name))
        self.model.load_weights(found.weights())
        if self.ema_decay is not None:
            self.shipping.load_weights(found.shipped())
        restore_moments(self.optimizer, self.names, moments)
        self.cast()

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Take over `weights` of another training. Raises ValueError where a name or a shape does not fit."""
        self.model.load_weights(dict(weights))
        if self.ema_decay is not None:
            self.shipping.load_weights(dict(weights))
        self.cast()


@dataclass(frozen=True)
class UpdateResult:
    """What one update saw; tensors, so that nothing waits for the device."""

    loss: Tensor
    """Smoothed loss, summed over the tokens, in nats; NaN where the update was skipped."""
    nll: Tensor
    """The same without smoothing."""
    gradient_norm: Tensor
    """Before clipping."""
    tokens: int
    """Real target tokens of all ranks, EOS included."""


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of update `step` on `rank`; neighbours share nothing."""
    return int(digest(f"{seed}/{step}/{rank}" if rank else f"{seed}/{step}")[:15], 16)
