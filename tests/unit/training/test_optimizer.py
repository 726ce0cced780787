"""The learning rate at single steps, and the optimizer's settings."""

import math
from typing import Any

import pytest
import torch

from nmt.config.training import OptimizerConfig
from nmt.training.optimizer import learning_rate, make_adam


def rate(step: int, **settings: Any) -> float:
    config = OptimizerConfig.model_validate({"warmup_steps": 100, **settings})
    return learning_rate(step, config, d_model=64, max_steps=500)


@pytest.mark.parametrize("schedule", ["inverse-sqrt", "linear"])
@pytest.mark.parametrize(("step", "share"), [(1, 0.01), (50, 0.5), (99, 0.99), (100, 1.0)])
def test_the_warm_up_is_linear_from_the_first_step_to_the_peak(schedule: str, step: int, share: float) -> None:
    assert rate(step, schedule=schedule, learning_rate=0.002) == pytest.approx(0.002 * share)
    assert rate(step, schedule=schedule) == pytest.approx(share / math.sqrt(64 * 100))


@pytest.mark.parametrize(
    ("schedule", "step", "share"),
    [
        ("inverse-sqrt", 101, math.sqrt(100 / 101)),
        ("inverse-sqrt", 400, 0.5),
        ("inverse-sqrt", 10_000, 0.1),
        ("linear", 101, 400 / 401),
        ("linear", 300, 201 / 401),
        ("linear", 500, 1 / 401),
        ("linear", 501, 0.0),
    ],
)
def test_after_the_warm_up_the_rate_falls_by_its_schedule(schedule: str, step: int, share: float) -> None:
    assert rate(step, schedule=schedule, learning_rate=0.002) == pytest.approx(0.002 * share)


def test_a_warm_up_of_one_step_begins_at_the_peak() -> None:
    assert rate(1, warmup_steps=1, learning_rate=0.002) == 0.002
    assert rate(2, warmup_steps=1, learning_rate=0.002) == pytest.approx(0.002 / math.sqrt(2))


def test_adam_has_the_settings_of_the_recipe_and_no_rate_of_its_own() -> None:
    parameter = torch.zeros(2)
    config = OptimizerConfig(beta1=0.8, beta2=0.95, epsilon=1e-7)
    adam = make_adam([parameter], config)
    assert adam.param_groups[0]["params"][0] is parameter
    settings = {name: adam.defaults[name] for name in ("lr", "betas", "eps", "weight_decay", "amsgrad", "fused")}
    assert settings == {
        **{"lr": 0.0, "betas": (0.8, 0.95), "eps": 1e-7},
        **{"weight_decay": 0, "amsgrad": False, "fused": True},
    }


def test_the_first_update_is_as_long_as_the_rate() -> None:
    parameter = torch.tensor([1.0, -1.0])
    adam = make_adam([parameter], OptimizerConfig())
    parameter.grad = torch.tensor([0.5, -3.0])
    adam.param_groups[0]["lr"] = 0.25
    adam.step()
    torch.testing.assert_close(parameter, torch.tensor([0.75, -0.75]))
