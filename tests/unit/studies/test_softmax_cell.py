"""The cells of the study of softmax regression: batches, and how an update is compared with a step."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.model.protocol import Network
from nmt.studies.softmax_cell import compared, problem_batch, root_mean_square, squared_error
from nmt.studies.softmax_regression import SoftmaxCell, SoftmaxRegressionConfig, SoftmaxRegressionStudy
from nmt.tasks.softmax_regression import SoftmaxProblems

PROBLEMS = SoftmaxProblems.draw(6, 5, 3, 1.0, (1,))
STUDY = SoftmaxRegressionStudy()
TRAINING = {
    "steps": 300,
    "warmup_steps": 5,
    "batch": 16,
    "tests": 50,
    "rows": 5,
    "columns": 3,
    "d_model": 16,
    "heads": 2,
}
CONFIG = SoftmaxRegressionConfig.model_validate({**TRAINING, "learning_rate": 1e-2})


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def test_tokens_are_rows_with_their_shares_and_the_point_which_sees_them() -> None:
    batch = problem_batch(PROBLEMS, 0.5)
    assert batch.tokens.shape == (6, 6, 4)
    np.testing.assert_allclose(batch.tokens[:, :5, :3], PROBLEMS.a, rtol=1e-6)
    np.testing.assert_allclose(batch.tokens[:, :5, 3], 5 * PROBLEMS.b, rtol=1e-6)
    np.testing.assert_allclose(batch.tokens[:, 5, :3], PROBLEMS.x, rtol=1e-6)
    assert batch.mask[0, 0].int().tolist() == [[1, 1, 1, 1, 1, 0]] * 6
    np.testing.assert_allclose(batch.wanted, -2 * PROBLEMS.gradient(), rtol=1e-5)

    class Copies(Network):
        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
            return tokens[..., :3]

    error, recorded = squared_error(Copies(), batch)
    expected = np.square(PROBLEMS.x + 2 * PROBLEMS.gradient()).sum()
    assert float(error) == float(recorded) == pytest.approx(expected, rel=1e-5)


def test_root_mean_square_is_of_the_lengths_of_rows() -> None:
    assert root_mean_square(np.array([[3.0, 4.0], [0.0, 1.0]])) == pytest.approx(13**0.5)


def test_the_step_itself_has_no_error_and_no_update_the_error_1() -> None:
    step = -PROBLEMS.gradient()
    same, none, half = (compared(PROBLEMS, factor * step, [0.1, 2.0]) for factor in (1, 0, 0.5))
    assert same["error"] == 0
    assert same["rates"]["2"]["error"] == 0
    assert same["rates"]["2"]["step"] == same["rates"]["2"]["attention"]
    assert none["error"] == pytest.approx(1)
    assert none["rates"]["0.1"]["error"] == pytest.approx(1)
    assert none["rates"]["0.1"]["attention"] == pytest.approx(1)
    assert half["error"] == pytest.approx(0.5)
    for rate in ("0.1", "2"):
        assert same["rates"][rate]["step"] < half["rates"][rate]["attention"] < 1


def test_losses_and_changes_are_those_after_the_step() -> None:
    step = -PROBLEMS.gradient()
    found = compared(PROBLEMS, 0 * step, [2.0])["rates"]["2"]
    after = PROBLEMS.x + 2 * step
    assert found["step"] == pytest.approx(PROBLEMS.loss(after).mean() / PROBLEMS.loss().mean())
    changes = np.linalg.norm(PROBLEMS.values(after) - PROBLEMS.values(), axis=-1)
    assert found["bound"] == pytest.approx((changes / np.linalg.norm(2 * step, axis=-1)).max())
    assert found["bound"] < 5**1.5 * np.exp(10)


def test_a_layer_learns_the_step_and_a_cell_that_goes_on_finds_the_same(tmp_path: Path) -> None:
    cell = SoftmaxCell("norm=1", 1.0)
    found = STUDY.run(cell, CONFIG, tmp_path)
    assert found["diverged"] is None
    assert found["error"] < 0.7
    assert found["rates"].keys() == {"0.1", "1", "10"}
    assert STUDY.run(cell, CONFIG, tmp_path) == found
