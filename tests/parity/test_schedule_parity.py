"""The learning rate is the paper's formula, and Adam is torch's with the paper's constants."""

import math
from itertools import pairwise

import pytest
import torch

from nmt.config.training import OptimizerConfig
from nmt.training.optimizer import learning_rate, make_adam


@pytest.mark.parametrize(("d_model", "warmup"), [(512, 4000), (1024, 8000), (16, 1), (256, 300)])
def test_the_default_rate_is_equation_3_of_the_paper_at_every_step(d_model: int, warmup: int) -> None:
    config = OptimizerConfig(warmup_steps=warmup)
    for step in range(1, 20_001):
        paper = d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
        assert learning_rate(step, config, d_model=d_model, max_steps=100_000) == pytest.approx(paper, rel=1e-12)


def test_the_base_model_peaks_at_the_known_rate() -> None:
    config = OptimizerConfig()
    rates = [learning_rate(step, config, d_model=512, max_steps=100_000) for step in range(1, 8001)]
    assert max(rates) == rates[3999] == pytest.approx(6.9877e-4, rel=1e-4)


@pytest.mark.parametrize("schedule", ["inverse-sqrt", "linear"])
def test_a_given_learning_rate_is_the_peak_reached_at_the_end_of_the_warm_up(schedule: str) -> None:
    config = OptimizerConfig.model_validate({"warmup_steps": 50, "learning_rate": 3e-3, "schedule": schedule})
    rates = [learning_rate(step, config, d_model=512, max_steps=200) for step in range(1, 201)]
    assert rates[0] == pytest.approx(3e-3 / 50)
    assert max(rates) == rates[49] == pytest.approx(3e-3)
    assert rates[:50] == sorted(rates[:50])
    assert rates[49:] == sorted(rates[49:], reverse=True)


def test_the_inverse_square_root_halves_in_four_times_the_steps() -> None:
    config = OptimizerConfig(warmup_steps=50, learning_rate=3e-3)
    assert learning_rate(200, config, d_model=512, max_steps=200) == pytest.approx(1.5e-3)


def test_the_linear_schedule_falls_in_equal_parts_to_zero_just_after_the_last_step() -> None:
    config = OptimizerConfig(warmup_steps=50, learning_rate=3e-3, schedule="linear")
    rates = [learning_rate(step, config, d_model=512, max_steps=200) for step in range(1, 202)]
    falls = [before - after for before, after in pairwise(rates[49:])]
    assert falls == pytest.approx([3e-3 / 151] * 151)
    assert rates[199] == pytest.approx(3e-3 / 151)
    assert rates[200] == 0


def test_linear_without_a_given_rate_has_the_peak_of_the_paper() -> None:
    config = OptimizerConfig(warmup_steps=50, schedule="linear")
    assert learning_rate(50, config, d_model=512, max_steps=200) == pytest.approx(1 / math.sqrt(512 * 50))


def test_adam_steps_as_algorithm_1_of_kingma_and_ba_with_the_constants_of_the_paper() -> None:
    config = OptimizerConfig()
    assert (config.beta1, config.beta2, config.epsilon) == (0.9, 0.98, 1e-9)
    parameter = torch.tensor([1.0, -2.0, 0.5])
    adam = make_adam([parameter], config)
    expected = parameter.double()
    first = second = torch.zeros(3, dtype=torch.float64)
    for step in range(1, 6):
        gradient = torch.tensor([0.3 * step, -1.0, 1e-4])
        rate = 0.01 * step
        parameter.grad = gradient.clone()
        for group in adam.param_groups:
            group["lr"] = rate
        adam.step()
        first = 0.9 * first + 0.1 * gradient.double()
        second = 0.98 * second + 0.02 * gradient.double() ** 2
        expected = expected - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.98**step)).sqrt() + 1e-9)
    torch.testing.assert_close(parameter, expected.float(), rtol=1e-6, atol=1e-6)
