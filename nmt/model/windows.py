"""Blocks of a sequence whose positions see a window around them alone (Beltagy et al. 2020, section 3.1).

A block of queries is multiplied with its own keys and with those beside it that are within reach, so that time and
memory grow linearly with the length. Shapes as in `nmt.model.layers`; `N` blocks of a sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SIZE = 64  # queries of a block at least: products of smaller ones are slow
ALIGNED = 8  # the keys beside a block are a multiple, so that a GPU's kernel takes the mask without copying it
HIDDEN = -1e9  # added to scores of padding: a row of padding that sees nothing else still has weights, not NaN


@dataclass(frozen=True)
class Blocks:
    """A division of a sequence into blocks of queries."""

    length: int  # positions of the sequence
    before: int  # positions that each sees before its own
    after: int  # positions that each sees after its own
    size: int  # queries of a block
    keys_before: int  # keys of a block before its own
    keys_after: int

    @property
    def count(self) -> int:
        return -(-self.length // self.size)

    def queries(self, x: Tensor) -> Tensor:
        """Return the blocks (B*N, H, size, E) of `x` (B, H, T, E)."""
        x = F.pad(x, (0, 0, 0, self.count * self.size - self.length))
        return x.unflatten(2, (-1, self.size)).transpose(1, 2).flatten(0, 1)

    def keys(self, x: Tensor, padding: float = 0) -> Tensor:
        """Return the positions (B*N, H, keys, E) of `x` (B, H, T, E) that each block reads; beyond it is `padding`."""
        if self.count == 1:
            return x
        ends = self.size, self.count * self.size - self.length + self.size  # a block more at each end
        x = (
            F.pad(x, (0, 0, *ends), value=padding).unflatten(2, (-1, self.size)).transpose(1, 2)
        )  # (B, N + 2, H, size, E)
        beside = x[:, :-2, :, self.size - self.keys_before :], x[:, 2:, :, : self.keys_after]
        return torch.cat([beside[0], x[:, 1:-1], beside[1]], 3).flatten(0, 1)

    def allowed(self, device: torch.device) -> Tensor:
        """Return the mask (size, keys) of a block, which hides all that is out of the window."""
        keys = torch.arange(-self.keys_before, self.size + self.keys_after, device=device)
        distances = keys - torch.arange(self.size, device=device)[:, None]
        return (distances >= -self.before) & (distances <= self.after)

    def joined(self, x: Tensor) -> Tensor:
        """Return the sequence (B, T, D) of blocks (B*N, size, D)."""
        return x.view(-1, self.count * self.size, x.size(-1))[:, : self.length]


def whole(length: int, window: int, *, is_causal: bool) -> Blocks:
    """Return the sequence as one block, of which each position sees `window` others before and, or not, after it."""
    return Blocks(length, window, 0 if is_causal else window, length, 0, 0)


def divide(length: int, window: int, *, is_causal: bool) -> Blocks:
    """Divide the sequence, unless a block with the keys beside it would be as long; see `whole`."""
    reach = -(-window // ALIGNED) * ALIGNED
    size, after = max(SIZE, reach), 0 if is_causal else reach
    if length <= reach + size + after:
        return whole(length, window, is_causal=is_causal)
    return Blocks(length, window, 0 if is_causal else window, size, reach, after)
