"""Softmax regression: values, loss and gradient of random problems."""

import numpy as np
import pytest
import torch

from nmt.tasks.softmax_regression import SoftmaxProblems, softmax

PROBLEMS = SoftmaxProblems.draw(5, 7, 3, 2.0, (1,))


def test_softmax_is_torchs_also_of_large_numbers() -> None:
    scores = np.array([[1.0, 2.0, -3.0], [1e4, 1e4 - 1, 0.0]])
    np.testing.assert_allclose(softmax(scores), torch.tensor(scores).softmax(-1).numpy())


def test_rows_and_points_have_the_norm_and_wanted_values_the_sum_1() -> None:
    assert (PROBLEMS.a.shape, PROBLEMS.b.shape, PROBLEMS.x.shape) == ((5, 7, 3), (5, 7), (5, 3))
    np.testing.assert_allclose(np.linalg.norm(PROBLEMS.a, axis=-1), 2)
    np.testing.assert_allclose(np.linalg.norm(PROBLEMS.x, axis=-1), 2)
    np.testing.assert_allclose(PROBLEMS.b.sum(-1), 1)
    assert len(np.unique(PROBLEMS.b)) == 35


def test_the_same_seed_draws_the_same_problems_and_another_one_others() -> None:
    same, other = (SoftmaxProblems.draw(5, 7, 3, 2.0, seed) for seed in ((1,), (2,)))
    for key in ("a", "b", "x"):
        np.testing.assert_array_equal(getattr(same, key), getattr(PROBLEMS, key))
        assert not np.isclose(getattr(other, key), getattr(PROBLEMS, key)).any()


def test_values_and_losses_are_at_the_points_or_at_others() -> None:
    others = PROBLEMS.x + 1
    for x, given in ((PROBLEMS.x, None), (others, others)):
        values = np.stack([softmax(a @ point) for a, point in zip(PROBLEMS.a, x, strict=True)])
        np.testing.assert_allclose(PROBLEMS.values(given), values)
        np.testing.assert_allclose(PROBLEMS.loss(given), np.square(values - PROBLEMS.b).sum(-1) / 2)


@pytest.mark.parametrize("norm", [0.5, 4.0])
def test_the_gradient_is_that_of_autograd(norm: float) -> None:
    problems = SoftmaxProblems.draw(5, 7, 3, norm, (1,))
    a, b = torch.from_numpy(problems.a), torch.from_numpy(problems.b)
    x = torch.from_numpy(problems.x).requires_grad_()
    loss = ((a @ x[..., None])[..., 0].softmax(-1) - b).square().sum() / 2
    (expected,) = torch.autograd.grad(loss, [x])
    np.testing.assert_allclose(problems.gradient(), expected.numpy(), atol=1e-15)
