"""Random linear functions: what is drawn, by which seed, and what a shift shifts."""

import numpy as np
import pytest

from nmt.tasks.regression import LinearFunctions, Sequences

FUNCTIONS = LinearFunctions(dimension=4, noise=0.5)


def test_values_are_those_of_one_function_a_sequence_with_noise_on_the_examples_alone() -> None:
    drawn = LinearFunctions(3).draw(5, 6, 4, (1,))
    assert (drawn.x.shape, drawn.y.shape, drawn.queries.shape, drawn.wanted.shape) == (
        (5, 6, 3),
        (5, 6),
        (5, 4, 3),
        (5, 4),
    )
    for row in range(5):
        (weights, residuals, *_) = np.linalg.lstsq(drawn.x[row], drawn.y[row])
        assert residuals == pytest.approx(0, abs=1e-20)
        np.testing.assert_allclose(drawn.queries[row] @ weights, drawn.wanted[row])
    noisy = FUNCTIONS.draw(2000, 8, 4, (1,))
    calm = LinearFunctions(4).draw(2000, 8, 4, (1,))
    assert np.std(noisy.y - calm.y) == pytest.approx(0.5, rel=0.02)
    np.testing.assert_array_equal(noisy.wanted, calm.wanted)


def test_without_noise_values_have_variance_1_and_scales_multiply_it() -> None:
    for scales, variance in (({}, 1), ({"input_scale": 2.0}, 4), ({"weight_scale": 3.0}, 9)):
        drawn = FUNCTIONS.shifted(**scales).draw(4000, 1, 10, (2,))
        assert np.var(drawn.wanted) == pytest.approx(variance, rel=0.05)
    assert np.std(FUNCTIONS.shifted(input_scale=2.0).draw(4000, 1, 10, (2,)).queries) == pytest.approx(2, rel=0.02)
    assert FUNCTIONS.shifted(input_scale=2.0).shifted(input_scale=3.0, weight_scale=5.0) == LinearFunctions(
        4, 0.5, 6, 5
    )


def test_the_same_seed_draws_the_same_and_another_one_another() -> None:
    one, same, other = (FUNCTIONS.draw(3, 4, 2, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    for key in ("x", "y", "queries", "wanted"):
        np.testing.assert_array_equal(getattr(one, key), getattr(same, key))
        assert not np.isclose(getattr(one, key), getattr(other, key)).any()


def test_the_penalty_of_ridge_is_the_variance_of_the_noise_over_that_of_the_weights() -> None:
    assert FUNCTIONS.ridge == pytest.approx(0.25 * 4)
    assert FUNCTIONS.shifted(weight_scale=2.0).ridge == pytest.approx(0.25)


def test_the_first_examples_of_a_sequence_have_the_same_queries() -> None:
    drawn = FUNCTIONS.draw(3, 4, 2, (1,))
    first = drawn.first(3)
    np.testing.assert_array_equal(first.x, drawn.x[:, :3])
    np.testing.assert_array_equal(first.y, drawn.y[:, :3])
    assert (first.queries is drawn.queries, first.wanted is drawn.wanted) == (True, True)


def test_predictions_and_losses_of_several_weights_at_once() -> None:
    queries = np.array([[[1.0, 2.0], [0.0, 1.0]]])
    sequences = Sequences(queries, np.zeros((1, 2)), queries, np.array([[3.0, 1.0]]))
    predictions = sequences.predict(np.array([[[1.0, 1.0]], [[0.0, 2.0]]]))
    np.testing.assert_array_equal(predictions, [[[3, 1]], [[4, 2]]])
    np.testing.assert_array_equal(sequences.loss(predictions), [0, 1])
