"""One update, the same for any cut into micro-batches and any number of ranks."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from nmt.config.training import OptimizerConfig, Precision
from nmt.data.encoding.dataset import Batch
from nmt.files import digest
from nmt.model.protocol import Model, Network
from nmt.training.checkpoint import EMA, MOMENTS, WEIGHTS, Checkpoint, moments_of, restore_moments
from nmt.training.distributed import Ranks
from nmt.training.guard import Guard
from nmt.training.objectives import translation_loss
from nmt.training.optimizer import make_optimizers

Net = TypeVar("Net", bound=Network)
M = TypeVar("M", bound=Model)
Micro = TypeVar("Micro")  # a micro-batch of any kind
Loss = Callable[[Net, Micro], tuple[Tensor, Tensor]]
"""The loss of a micro-batch, which is differentiable, and one to record, both summed."""


class Updater(Generic[Net]):
    """Float32 weights and their optimizer, with a working copy of the weights in the training precision."""

    def __init__(
        self,
        model: Net,
        config: OptimizerConfig,
        precision: Precision = "float32",
        ranks: Ranks | None = None,
        *,
        ema_decay: float | None = None,
        compiled: bool = False,
    ) -> None:
        self.model = model
        self.ranks = ranks or Ranks()
        self.parameters: list[Tensor] = list(model.parameters())
        self.device = self.parameters[0].device
        self.clip_norm = config.clip_norm
        self.named: dict[str, Tensor] = dict(model.named_parameters())
        self.optimizers = make_optimizers(self.named, config, precision)
        # In bfloat16 forward and backward run on a copy of the weights, cast once an update: no cast within them.
        self.working = model if precision == "float32" else copy.deepcopy(model).bfloat16()
        self.working_parameters: list[Tensor] = list(self.working.parameters())
        if compiled:
            self.working.compile_layers()
        # All gradients and the two sums of losses lie in one tensor: one all-reduce a step.
        sizes = [parameter.numel() for parameter in self.parameters]
        self.reduced = torch.zeros(sum(sizes) + 2, device=self.device)
        self.flat_gradient, self.loss_sums = self.reduced[:-2], self.reduced[-2:]
        parts = self.flat_gradient.split(sizes)
        self.gradients = [part.view_as(parameter) for part, parameter in zip(parts, self.parameters, strict=True)]
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        self.ema_decay = ema_decay
        self.eval_model = model if ema_decay is None else copy.deepcopy(model)
        """The model that is validated and bundled: the moving average where the recipe keeps one."""
        self.guard = Guard(self.device)

    def accumulate(
        self: "Updater[M]",
        batches: list[Batch],
        *,
        seed: int,
        smoothing: float,
        tokens: int,
        source_loss: float = 0.0,
        guided_alignment: float = 0.0,
    ) -> None:
        """Sum the gradients of the translation loss over `batches`, as `sum_gradients` does."""
        loss = partial(
            translation_loss, smoothing=smoothing, source_loss=source_loss, guided_alignment=guided_alignment
        )
        self.sum_gradients(batches, loss, seed=seed, tokens=tokens)

    def sum_gradients(self, batches: list[Micro], loss_of: Loss[Net, Micro], *, seed: int, tokens: int) -> None:
        """Sum the gradients over `batches`, this rank's micro-batches of one step, and drop earlier sums.

        The loss is divided by `tokens`, the real target tokens of the whole step on all ranks, so neither the cut
        into micro-batches nor the number of ranks changes the update. `seed` decides the dropout: no generator has a
        state that outlives a step. Where this raises an error that `is_out_of_memory`, call it again with smaller
        micro-batches.
        """
        torch.manual_seed(seed)
        self.working.train()
        self.reduced.zero_()
        has_copy = self.working is not self.model
        if has_copy:
            self.working.zero_grad()  # those of a micro-batch for which the memory did not suffice
        for number, batch in enumerate(batches):
            loss, nll = loss_of(self.working, batch)
            (loss / tokens).backward()
            if has_copy:
                gradients = [cast("Tensor", parameter.grad) for parameter in self.working_parameters]
                if number == 0:
                    torch._foreach_copy_(self.gradients, gradients)
                else:
                    torch._foreach_add_(self.gradients, gradients)
                self.working.zero_grad()
            self.loss_sums += torch.stack([loss.detach(), nll])

    @torch.no_grad()
    def apply(self, step: int, *, rate: float, tokens: int) -> "UpdateResult":
        """Take optimizer step number `step` with the accumulated gradients of all ranks, or skip it.

        The guard decides on the device, so that nothing waits for it.
        """
        self.ranks.all_reduce(self.reduced)
        loss, nll = self.loss_sums.clone().unbind()
        norm = self.flat_gradient.norm()
        is_abnormal = self.guard.check(step, loss / tokens, norm)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.found_inf = is_abnormal  # type: ignore[attr-defined]  # Adam's fused kernel reads it too
            optimizer.step()
        self.update_copy()
        if self.ema_decay is not None:
            # A short average at first, or the random initial weights would count for long.
            decay = min(self.ema_decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.eval_model.parameters()), self.parameters, 1 - decay)
        return UpdateResult(torch.where(is_abnormal.bool(), torch.nan, loss), nll, norm, tokens)

    @torch.no_grad()
    def update_copy(self) -> None:
        if self.working is not self.model:
            torch._foreach_copy_(self.working_parameters, self.parameters)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Return the weights, the optimizer's moments and the moving average if there is one, by file and name."""
        moments = {**moments_of(self.optimizers, self.named), **self.guard.state()}
        files = {WEIGHTS: self.model.weights(), MOMENTS: moments}
        return files if self.ema_decay is None else {**files, EMA: self.eval_model.weights()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the result of `state` from `checkpoint`. Raises ValueError where it is another model's."""
        moments = checkpoint.moments()
        self.guard.restore(moments)
        self.model.load_weights(checkpoint.weights())
        if self.ema_decay is not None:
            self.eval_model.load_weights(checkpoint.bundle_weights())
        restore_moments(self.optimizers, self.named, moments)
        self.update_copy()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Start from `weights` of another training. Raises ValueError where a name or a shape differs."""
        for model in (self.model, self.eval_model):
            model.load_weights(weights)
        self.update_copy()


@dataclass(frozen=True)
class UpdateResult:
    """The losses of one update; tensors, so that nothing waits for the device."""

    loss: Tensor  # smoothed loss, summed over the tokens, in nats; NaN where the update was skipped
    nll: Tensor  # negative log-likelihood: the loss without smoothing
    gradient_norm: Tensor  # before clipping
    tokens: int  # real target tokens of all ranks, EOS included


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of the dropout of update `step` on `rank`: a hash, for neighbouring seeds draw alike."""
    return int(digest(f"{seed}/{step}/{rank}" if rank else f"{seed}/{step}")[:15], 16)
