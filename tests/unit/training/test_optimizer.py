"""The learning rate at single steps, and the optimizer's settings."""

import math
from typing import Any

import pytest
import torch

from nmt.config.training import OptimizerConfig
from nmt.training.optimizer import Muon, learning_rate, make_adam, make_optimizers, orthogonalize


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


NAMES = {
    "encoder.0.self_attention.key_value.weight": (8, 4),
    "encoder.0.feed_forward.inner.weight": (8, 4),
    "encoder.0.feed_forward.outer.weight": (4, 8),
    "encoder.0.feed_forward.outer.bias": (4,),
    "encoder_norm.weight": (4,),
    "target_embedding.weight": (20, 4),
    "positions.table": (16, 4),
    "generator.weight": (20, 4),
}


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    made = {name: torch.randn(shape, generator=generator) for name, shape in NAMES.items()}
    for tensor in made.values():
        tensor.grad = torch.randn(tensor.shape, generator=generator)
    return made


def muon_step(matrices: dict[str, torch.Tensor], *, found_inf: float = 0.0, rate: float = 0.1) -> Muon:
    muon = Muon(matrices)
    for group in muon.param_groups:
        group["lr"] = rate
    muon.found_inf = torch.tensor(found_inf)
    muon.step()
    return muon


def test_adam_alone_takes_all_weights_by_default() -> None:
    (adam,) = make_optimizers(weights(), OptimizerConfig())
    assert len(adam.param_groups[0]["params"]) == len(NAMES)


def test_muon_takes_the_matrices_of_the_layers_and_adam_the_rest() -> None:
    given = weights()
    adam, muon = make_optimizers(given, OptimizerConfig(algorithm="muon"))
    names = {id(tensor): name for name, tensor in given.items()}
    taken = {names[id(tensor)] for group in muon.param_groups for tensor in group["params"]}
    assert taken == set(list(NAMES)[:3])
    assert {names[id(tensor)] for tensor in adam.param_groups[0]["params"]} == set(NAMES) - taken


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 4, 16), (1, 1, 5)])
def test_orthogonal_matrices_have_singular_values_near_one_and_the_same_singular_vectors(shape: Any) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 7
    made = orthogonalize(matrices)
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.25
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inner = left.mT @ made @ right.mT
    torch.testing.assert_close(inner, torch.diag_embed(inner.diagonal(dim1=1, dim2=2)), atol=1e-4, rtol=0)


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


@pytest.mark.parametrize("name", list(NAMES)[:3])
def test_an_update_of_muon_has_a_root_mean_square_of_a_fifth_of_the_rate(name: str) -> None:
    matrix = weights()[name]
    before = matrix.clone()
    muon_step({name: matrix})
    change = before - matrix
    assert change.square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.25)
    assert matrix.grad is not None
    assert (change * matrix.grad).sum() > 0  # downhill


def test_keys_and_values_are_made_orthogonal_each_for_itself() -> None:
    (name, matrix), *_ = weights().items()
    assert matrix.grad is not None
    matrix.grad[4:] *= 1e-3  # one small half would vanish beside the other in a common matrix
    halves = {half: part.clone() for half, part in zip("ab", matrix.chunk(2), strict=True)}
    for half, part in zip("ab", matrix.grad.chunk(2), strict=True):
        halves[half].grad = part.clone()
    muon_step({name: matrix})
    muon_step(halves)
    torch.testing.assert_close(matrix, torch.cat([halves["a"], halves["b"]]))


def test_two_steps_of_muon_follow_nesterovs_momentum() -> None:
    matrix = torch.zeros(2, 2)
    matrix.grad = first = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    muon = muon_step({"w": matrix}, rate=1.0)
    torch.testing.assert_close(muon.state[matrix]["momentum"], 0.05 * first)
    matrix.zero_()
    matrix.grad = second = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    muon.step()
    momentum = 0.95 * 0.05 * first + 0.05 * second
    torch.testing.assert_close(muon.state[matrix]["momentum"], momentum)
    expected = -0.2 * math.sqrt(2) * orthogonalize((0.05 * second + 0.95 * momentum)[None])[0]
    torch.testing.assert_close(matrix, expected)


@pytest.mark.parametrize("gradient", [1.0, math.nan, math.inf])
def test_muon_takes_no_step_where_the_update_is_abnormal(gradient: float) -> None:
    matrix = torch.ones(3, 4)
    matrix.grad = torch.full((3, 4), gradient)
    muon = muon_step({"w": matrix}, found_inf=1.0)
    assert torch.equal(matrix, torch.ones(3, 4))
    assert torch.equal(muon.state[matrix]["momentum"], torch.zeros(3, 4))
