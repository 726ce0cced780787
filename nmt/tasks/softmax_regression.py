"""Softmax regression: the problem min over x of L(x) = |f(x) - b|^2 / 2 with f(x) = softmax(A x) (Gao et al. 2023).

(arXiv 2304.10411; it writes <exp(A x), 1>^-1 exp(A x).) Shapes: `B` problems, `n` rows of A, `d` columns.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from nmt.tasks.regression import Floats


def softmax(scores: Floats) -> Floats:
    """Return the softmax of `scores` (..., n) over n."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


@dataclass(frozen=True)
class SoftmaxProblems:
    """Problems of softmax regression, each at a point x."""

    a: Floats  # (B, n, d)
    b: Floats  # (B, n), of the sum 1
    x: Floats  # (B, d)

    @classmethod
    def draw(cls, count: int, rows: int, columns: int, norm: float, seed: tuple[int, ...]) -> Self:
        """Draw `count` problems: rows of A and x of the length `norm`, in random directions, b = softmax(N(0, I))."""
        rng = np.random.default_rng(seed)
        a, x = rng.standard_normal((count, rows, columns)), rng.standard_normal((count, columns))
        b = softmax(rng.standard_normal((count, rows)))
        a, x = (norm * part / np.linalg.norm(part, axis=-1, keepdims=True) for part in (a, x))
        return cls(a, b, x)

    def values(self, x: Floats | None = None) -> Floats:
        """Return f(x) (B, n) at `x` (B, d), by default at the points of the problems."""
        return softmax(np.einsum("bnd,bd->bn", self.a, self.x if x is None else x))

    def loss(self, x: Floats | None = None) -> Floats:
        """Return L (B) at `x` (B, d), by default at the points of the problems."""
        return np.asarray(np.square(self.values(x) - self.b).sum(-1) / 2, np.float64)

    def gradient(self) -> Floats:
        """Return the gradient (B, d) of L at the points: A^T (diag(f) - f f^T) (f - b)."""
        values = self.values()
        errors = values - self.b
        weighted = values * (errors - (values * errors).sum(-1, keepdims=True))
        return np.einsum("bnd,bn->bd", self.a, weighted)
