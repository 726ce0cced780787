"""The guard: which updates are skipped because their loss or gradient is abnormal."""

import torch
from torch import Tensor

WINDOW = 100  # updates whose loss is kept
MIN_HISTORY = 20  # losses that must be known before a large loss counts as abnormal
MAX_RATIO = 2.5  # a loss above this many times the median of the window is abnormal
MAX_SKIPPED_IN_A_ROW = 4  # more updates than these skipped in a row mean divergence
LOW_LOSS = 1.0  # nats of a token that are never abnormal: losses near 0 differ a hundredfold from step to step
PREFIX = "guard."  # of the guard's tensors in a checkpoint, where they lie among the optimizer's moments


class Guard:
    """Checks updates on the device, so that nothing waits for it."""

    def __init__(self, device: torch.device) -> None:
        self.recent = torch.full((WINDOW,), torch.nan, device=device)
        """Loss of a token in the last updates that were taken."""
        self.skipped, self.in_a_row = torch.zeros((), device=device), torch.zeros((), device=device)
        """Updates skipped in all, and just before the next one."""

    def check(self, step: int, loss: Tensor, norm: Tensor) -> Tensor:
        """Return 1.0 where update `step` is to be skipped, else 0.0, and record it.

        That is where the `loss` of a token or the `norm` of the gradient is not finite, or the loss is far above the
        median of the last updates, and not low.
        """
        # The median by hand, NaN being sorted last: torch's own may wait for the device to count them.
        known = self.recent.isfinite().sum()
        median = self.recent.sort().values.index_select(0, ((known - 1) // 2).clamp_min(0)[None])[0]
        limit = torch.where(known >= MIN_HISTORY, (MAX_RATIO * median).clamp_min(LOW_LOSS), torch.inf)
        is_abnormal = ~(loss.isfinite() & norm.isfinite() & (loss <= limit))
        index = step % WINDOW
        self.recent[index] = torch.where(is_abnormal, self.recent[index], loss)
        self.skipped += is_abnormal
        self.in_a_row.add_(1).mul_(is_abnormal)
        return is_abnormal.float()

    def counts(self) -> tuple[int, int]:
        """Return the number of skipped updates, in all and in a row just now. Waits for the device."""
        return int(self.skipped), int(self.in_a_row)

    def state(self) -> dict[str, Tensor]:
        return {f"{PREFIX}{name}": getattr(self, name) for name in ("recent", "skipped", "in_a_row")}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take the result of `state` out of `tensors`."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors.pop(name))
