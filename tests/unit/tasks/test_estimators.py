"""The estimators of a linear function, against the closed forms of numpy."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from nmt.tasks import estimators
from nmt.tasks.regression import Floats, LinearFunctions

SEQUENCES = LinearFunctions(4, 0.3).draw(6, 9, 5, (1,))
X, Y = SEQUENCES.x, SEQUENCES.y


@pytest.mark.parametrize("examples", [2, 4, 9])
def test_least_squares_is_numpys_and_the_smallest_where_examples_are_few(examples: int) -> None:
    found = estimators.least_squares(X[:, :examples], Y[:, :examples])
    for row in range(len(X)):
        np.testing.assert_allclose(found[row], np.linalg.lstsq(X[row, :examples], Y[row, :examples])[0], atol=1e-12)


def test_ridge_solves_the_normal_equations_with_a_penalty_and_is_least_squares_without() -> None:
    found = estimators.ridge(X, Y, 0.7)
    for x, y, weights in zip(X, Y, found, strict=True):
        np.testing.assert_allclose(weights, np.linalg.solve(x.T @ x + 0.7 * np.eye(4), x.T @ y))
    np.testing.assert_array_equal(
        estimators.ridge(X[:, :2], Y[:, :2], 0.0), estimators.least_squares(X[:, :2], Y[:, :2])
    )


def test_ridge_with_the_penalty_of_the_distribution_is_better_than_with_others() -> None:
    functions = LinearFunctions(4, 0.8)
    drawn = functions.draw(3000, 6, 5, (1,))

    def loss(penalty: float) -> float:
        return float(drawn.loss(drawn.predict(estimators.ridge(drawn.x, drawn.y, penalty))))

    assert loss(functions.ridge) < min(loss(functions.ridge / 2), loss(functions.ridge * 2))


def test_steps_of_gradient_descent_are_the_powers_of_their_closed_form() -> None:
    rates = np.array([0.1, 0.5])
    for k, after in enumerate(estimators.gradient_descent(X, Y, rates, 5), 1):
        assert after.shape == (2, 6, 4)
        for row, (x, y) in enumerate(zip(X, Y, strict=True)):
            square, best = x.T @ x / len(x), np.linalg.lstsq(x, y)[0]
            for number, rate in enumerate(rates):
                left = np.linalg.matrix_power(np.eye(4) - rate * square, k)  # of the distance to the least squares
                np.testing.assert_allclose(after[number, row], best - left @ best)
    (*_, last) = estimators.gradient_descent(X, Y, np.array([0.5]), 3000)
    np.testing.assert_allclose(last[0], estimators.least_squares(X, Y), atol=1e-6)


def test_causal_descent_is_gradient_descent_for_a_step_and_ends_in_one_pass_of_online_descent() -> None:
    (first,), (second, *_) = (
        estimators.causal_descent(X, Y, np.array([0.4]), 1),
        estimators.gradient_descent(X, Y, np.array([0.4]), 1),
    )
    np.testing.assert_allclose(first, second)
    (*_, last) = estimators.causal_descent(X, Y, np.array([1.0]), 4000)
    online = estimators.online_descent(X, Y)
    np.testing.assert_allclose(last[0], online, atol=1e-8)
    assert np.abs(online - estimators.least_squares(X, Y)).max() > 0.1


def test_an_example_has_weights_of_its_own_by_the_examples_before_it() -> None:
    (*_, whole) = estimators.causal_descent(X[:, :2], Y[:, :2], np.array([0.6]), 3)
    for row in range(len(X)):
        (x1, x2), (y1, y2) = X[row, :2], Y[row, :2]
        w1, w2 = np.zeros(4), np.zeros(4)
        for _ in range(3):
            steps = (y1 - x1 @ w1) * x1, (y2 - x2 @ w2) * x2
            w1, w2 = w1 + 0.3 * steps[0], w2 + 0.3 * (steps[0] + steps[1])
        np.testing.assert_allclose(whole[0, row], w2)


def test_online_descent_agrees_with_the_example_that_it_has_just_seen() -> None:
    for examples in (1, 2, 9):
        weights = estimators.online_descent(X[:, :examples], Y[:, :examples])
        np.testing.assert_allclose((X[:, examples - 1] * weights).sum(-1), Y[:, examples - 1])
    (alone,) = np.linalg.lstsq(X[0, :1], Y[0, :1])[:1]
    np.testing.assert_allclose(estimators.online_descent(X[:, :1], Y[:, :1])[0], alone)


@pytest.mark.parametrize("descent", [estimators.gradient_descent, estimators.causal_descent])
def test_the_rate_of_each_number_of_steps_is_the_best_on_the_fitting_sequences(
    descent: Callable[[Floats, Floats, Floats, int], Iterator[Floats]],
) -> None:
    fitting = LinearFunctions(4, 0.3).draw(50, 9, 5, (2,))
    rates, predictions = estimators.fitted_descent(descent, SEQUENCES, fitting, 3)
    assert predictions.shape == (3, 6, 5)
    for k in (1, 2, 3):
        (*_, of_all) = descent(fitting.x, fitting.y, estimators.RATES, k)
        losses = fitting.loss(fitting.predict(of_all))
        assert rates[k - 1] == estimators.RATES[losses.argmin()]
        (*_, weights) = descent(X, Y, rates[k - 1 : k], k)
        np.testing.assert_allclose(predictions[k - 1], SEQUENCES.predict(weights[0]))
    assert estimators.RATES[0] < rates.min() <= rates.max() < estimators.RATES[-1]
