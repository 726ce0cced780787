"""Random linear functions, and sequences of examples of them, for in-context regression (Garg et al. 2022, section 2).

Shapes: `B` functions, `n` examples, `q` queries, `d` inputs of a function.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearFunctions:
    """The distribution of functions y = w.x and of what is drawn of each: w ~ N(0, I s^2 / d), x ~ N(0, I t^2).

    With the scales 1, which training has, y has variance 1 before the noise, whatever the dimension.
    """

    dimension: int  # d, inputs of a function
    noise: float = 0.0  # standard deviation of what is added to the y of an example
    input_scale: float = 1.0  # t; another one than in training is a shift of the inputs
    weight_scale: float = 1.0  # s; another one is a shift of the functions

    def shifted(self, *, input_scale: float = 1.0, weight_scale: float = 1.0) -> Self:
        """Return the distribution with scales that are these times as large."""
        return replace(
            self,
            input_scale=self.input_scale * input_scale,
            weight_scale=self.weight_scale * weight_scale,
        )

    @property
    def ridge(self) -> float:
        """The penalty of ridge regression that makes it the posterior mean of y: noise^2 over the variance of w."""
        return self.noise**2 * self.dimension / self.weight_scale**2

    def draw(self, count: int, examples: int, queries: int, seed: tuple[int, ...]) -> "Sequences":
        """Draw `count` functions with `examples` and `queries` of each; the same for the same `seed`."""
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal((count, self.dimension)) * (self.weight_scale / self.dimension**0.5)
        inputs = rng.standard_normal((count, examples + queries, self.dimension)) * self.input_scale
        values = np.einsum("bnd,bd->bn", inputs, weights)
        noise = rng.standard_normal((count, examples)) * self.noise
        return Sequences(inputs[:, :examples], values[:, :examples] + noise, inputs[:, examples:], values[:, examples:])


@dataclass(frozen=True)
class Sequences:
    """Examples and queries of B functions."""

    x: Floats  # (B, n, d)
    y: Floats  # (B, n), with noise
    queries: Floats  # (B, q, d)
    wanted: Floats  # (B, q): the values of the functions, without noise

    def first(self, examples: int) -> Self:
        """Return the same with the first `examples` alone."""
        return replace(self, x=self.x[:, :examples], y=self.y[:, :examples])

    def predict(self, weights: Floats) -> Floats:
        """Return the values (..., B, q) of the functions with `weights` (..., B, d) at the queries."""
        return np.einsum("bqd,...bd->...bq", self.queries, weights)

    def loss(self, predictions: Floats) -> Floats:
        """Return the mean squared error of `predictions` (..., B, q) without the noise: 0 is the function itself."""
        error: Floats = np.square(predictions - self.wanted).mean((-2, -1))
        return error
