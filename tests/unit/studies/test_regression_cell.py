"""The cells of the study of in-context regression: batches, tests, distances, and the same result when killed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.model.protocol import Network
from nmt.studies import regression_cell
from nmt.studies.in_context_regression import InContextRegression
from nmt.studies.regression_cell import (
    TokenBatch,
    estimates,
    held_out,
    numbers_of_examples,
    predict,
    squared_error,
    token_batch,
)
from nmt.studies.regression_fields import ESTIMATORS, RegressionCell, RegressionConfig
from nmt.tasks import estimators

SHAPE = {"dimension": 2, "examples": 6, "fewest_examples": 3, "queries": 4, "d_model": 8, "heads": 2, "ffn": 8}
TRAINING = {"steps": 30, "warmup_steps": 2, "batch": 4, "tests": 6, "fitting": 5, "descent_steps": 3}
CONFIG = RegressionConfig.model_validate({**SHAPE, **TRAINING})
LSA = RegressionCell("lsa,prefix,layers=1", "lsa", "prefix", 1)
STUDY = InContextRegression()


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def test_numbers_of_examples_go_from_the_fewest_to_twice_the_most() -> None:
    assert numbers_of_examples(CONFIG) == [3, 4, 5, 6, 7, 8, 10, 12]
    assert numbers_of_examples(RegressionConfig()) == [16, 20, 24, 29, 36, 40, 44, 53, 65, 80]


def test_tests_are_the_same_sequences_with_fewer_examples_and_shifted_ones() -> None:
    by_count, shifted = held_out(CONFIG)
    assert [sequences.x.shape for sequences in by_count.values()] == [(6, n, 2) for n in numbers_of_examples(CONFIG)]
    np.testing.assert_array_equal(by_count[3].x, by_count[12].x[:, :3])
    np.testing.assert_array_equal(by_count[3].wanted, by_count[12].wanted)
    inputs, weights = shifted["inputs"], shifted["weights"]
    assert inputs.x.shape == weights.x.shape == (6, 6, 2)
    np.testing.assert_allclose(inputs.x, 2 * weights.x)  # drawn alike, of another scale
    np.testing.assert_allclose(inputs.wanted, weights.wanted)
    other = RegressionConfig.model_validate({**SHAPE, **TRAINING, "seed": 2})
    assert not np.isclose(held_out(other)[0][3].x, by_count[3].x).any()


def test_the_loss_is_the_squared_error_of_the_queries_alone() -> None:
    sequences = held_out(CONFIG)[0][6]
    batch = token_batch(sequences, torch.tensor([3, 4, 5, 6, 6, 6]), is_causal=True)
    assert (batch.tokens.shape, batch.mask.shape, batch.tokens.dtype) == ((6, 10, 3), (6, 1, 10, 10), torch.float32)
    assert batch.mask[0, 0, -1].int().tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert batch.mask[3, 0, 0].int().tolist() == [1, *[0] * 9]

    class Sums(Network):
        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
            return tokens.sum(-1, keepdim=True)

    network = Sums()
    torch.testing.assert_close(predict(network, batch), torch.from_numpy(sequences.queries.sum(-1)).float())
    error, recorded = squared_error(network, batch)
    expected = np.square(sequences.queries.sum(-1) - sequences.wanted).sum()
    assert float(error) == float(recorded) == pytest.approx(expected, rel=1e-5)


def test_estimates_are_those_of_the_closed_forms() -> None:
    sequences = held_out(CONFIG)[0][6]
    found = estimates(sequences, CONFIG)
    for name, weights in {
        "least squares": estimators.least_squares(sequences.x, sequences.y),
        "ridge": estimators.ridge(sequences.x, sequences.y, 0.01 * 2),
        "online": estimators.online_descent(sequences.x, sequences.y),
    }.items():
        np.testing.assert_array_equal(found[name], sequences.predict(weights))
    assert found["descent"].shape == found["causal descent"].shape == (3, 6, 4)
    np.testing.assert_allclose(found["descent"][0], found["causal descent"][0])
    assert not np.allclose(found["descent"][1], found["causal descent"][1])


def test_the_cell_of_the_estimators_has_their_losses_by_examples_and_shift(tmp_path: Path) -> None:
    result = STUDY.run(RegressionCell(ESTIMATORS), CONFIG, tmp_path)
    by_count, shifted = held_out(CONFIG)
    assert list(result["losses"]) == [str(n) for n in by_count]
    for found, sequences in ((result["losses"]["6"], by_count[6]), (result["shifted"]["inputs"], shifted["inputs"])):
        wanted = {name: sequences.loss(of) for name, of in estimates(sequences, CONFIG).items()}
        for name, loss in wanted.items():
            np.testing.assert_allclose(found[name], loss)
    assert len(result["shifted"]["weights"]["descent"]) == 3


@pytest.mark.parametrize("feed_forward", [False, True])
def test_a_cell_learns_and_has_losses_and_distances(tmp_path: Path, feed_forward: bool) -> None:
    config = CONFIG.model_copy(update={"steps": 300, "batch": 32, "feed_forward": feed_forward, "learning_rate": 5e-3})
    cell = RegressionCell("softmax,prefix,layers=1", "softmax", "prefix", 1)
    result = STUDY.run(cell, config, tmp_path)
    assert result["diverged"] is None
    assert list(result["losses"]) == [str(n) for n in numbers_of_examples(config)]
    assert 0 < result["median"] < result["losses"]["6"]
    assert result["shifted"].keys() == {"inputs", "weights"}
    assert result["losses"]["12"] < 0.7  # of the values themselves it is 1
    assert {name: np.shape(of) for name, of in result["distances"].items()} == {
        **dict.fromkeys(("least squares", "ridge", "online"), ()),
        **dict.fromkeys(("descent", "causal descent"), (3,)),
    }
    assert result["distances"]["descent"][0] > 0


def test_masks_are_alike_for_one_layer_and_differ_for_two(tmp_path: Path) -> None:
    for layers in (1, 2):
        losses = [
            STUDY.run(RegressionCell(f"{mask}{layers}", "lsa", mask, layers), CONFIG, tmp_path / f"{mask}{layers}")[
                "losses"
            ]
            for mask in ("prefix", "causal")
        ]
        assert (losses[0] == losses[1]) == (layers == 1)


def test_a_cell_that_is_killed_and_goes_on_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = STUDY.run(LSA, CONFIG, tmp_path / "whole")
    real, calls = regression_cell.token_batch, 0

    def dying(*arguments: Any, **values: Any) -> TokenBatch:
        nonlocal calls
        calls += 1
        if calls == 17:
            raise KeyboardInterrupt
        return real(*arguments, **values)

    with monkeypatch.context() as patch:
        patch.setattr(regression_cell, "token_batch", dying)
        with pytest.raises(KeyboardInterrupt):
            STUDY.run(LSA, CONFIG, tmp_path / "killed")
    assert STUDY.run(LSA, CONFIG, tmp_path / "killed") == whole
    other = STUDY.run(LSA, CONFIG.model_copy(update={"seed": 2}), tmp_path / "other")
    assert other["losses"] != whole["losses"]
