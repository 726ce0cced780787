"""Estimators of a linear function from examples, in closed form: what a model that learns in context is compared with.

All take examples `x` (B, n, d) and `y` (B, n) and return weights (B, d), or (R, B, d) of R rates at once. Shapes as in
`nmt.tasks.regression`.
"""

from collections.abc import Callable, Iterator

import numpy as np

from nmt.tasks.regression import Floats, Sequences

Descent = Callable[[Floats, Floats, Floats, int], Iterator[Floats]]
"""`gradient_descent` or `causal_descent`."""
RATES = np.geomspace(0.1, 4.0, 16)
"""The learning rates that `fitted_descent` tries."""


def least_squares(x: Floats, y: Floats) -> Floats:
    """Return the weights of the least squared error, of these the smallest where there are fewer examples than d."""
    return np.asarray((np.linalg.pinv(x) @ y[..., None])[..., 0], np.float64)


def ridge(x: Floats, y: Floats, penalty: float) -> Floats:
    """Return the weights that minimize |x w - y|^2 + `penalty` |w|^2; of the penalty 0, `least_squares`."""
    if not penalty:
        return least_squares(x, y)
    squares = x.mT @ x + penalty * np.eye(x.shape[-1])
    return np.asarray(np.linalg.solve(squares, x.mT @ y[..., None])[..., 0], np.float64)


def gradient_descent(x: Floats, y: Floats, rates: Floats, steps: int) -> Iterator[Floats]:
    """Yield the weights (R, B, d) after each of `steps` from 0: w -= rate / n * x^T (x w - y), for `rates` (R)."""
    weights = np.zeros((len(rates), len(x), x.shape[-1]))
    for _ in range(steps):
        residuals = y - np.einsum("bnd,rbd->rbn", x, weights)
        weights = weights + rates[:, None, None] * np.einsum("bnd,rbn->rbd", x, residuals) / x.shape[1]
        yield weights


def causal_descent(x: Floats, y: Floats, rates: Floats, steps: int) -> Iterator[Floats]:
    """Yield the weights (R, B, d) of the last example after each of `steps`, where each sees none of the later ones.

    Every example i has weights of its own, and a step adds rate / n * sum over j <= i of x_j (y_j - x_j.w_j): the
    residual of an example is by its own weights. It is the descent of a causal linear model (Ding et al. 2023, section
    4), whose fixed point is `online_descent`.
    """
    weights = np.zeros((len(rates), *x.shape))  # (R, B, n, d)
    for _ in range(steps):
        residuals = y - np.einsum("bnd,rbnd->rbn", x, weights)
        sums = np.cumsum(residuals[..., None] * x, -2)
        weights = weights + rates[:, None, None, None] * sums / x.shape[1]
        yield weights[:, :, -1]


def online_descent(x: Floats, y: Floats) -> Floats:
    """Return the weights after one pass of w += x_i (y_i - x_i.w) / |x_i|^2 over the examples, from 0.

    Each agrees with the example that it has just seen. A causal linear model of ever more layers ends there, which is
    not the least squares (Ding et al. 2023, section 4).
    """
    weights = np.zeros((len(x), x.shape[-1]))
    for inputs, values in zip(x.swapaxes(0, 1), y.T, strict=True):
        errors = values - (inputs * weights).sum(-1)
        weights += inputs * (errors / np.square(inputs).sum(-1))[:, None]
    return weights


def fitted_descent(descent: Descent, test: Sequences, fitting: Sequences, steps: int) -> tuple[Floats, Floats]:
    """Return the rates (K) of the least loss on `fitting` after 1 to K `steps`, and predictions (K, B, q) for `test`.

    A rate is one of `RATES`, the same in all steps; one more step has a rate of its own.
    """
    losses = [fitting.loss(fitting.predict(weights)) for weights in descent(fitting.x, fitting.y, RATES, steps)]
    rates = RATES[np.nan_to_num(np.stack(losses), nan=np.inf).argmin(1)]
    chosen, places = np.unique(rates, return_inverse=True)  # those of other steps are not computed
    after = descent(test.x, test.y, chosen, steps)
    weights = [of_rates[place] for of_rates, place in zip(after, places, strict=True)]
    return rates, test.predict(np.stack(weights))
