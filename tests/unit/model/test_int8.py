"""Products in small integers: what they say, and that nothing but the row itself counts."""

import os
import subprocess
import sys

import pytest
import torch
from precisions import in_int8
from torch import Tensor

from nmt.model import int8
from nmt.model.int8 import BOUND, CHUNK, Int8Product, mean, padded, quantize

pytestmark = in_int8


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def levels_of(weight: Tensor) -> tuple[Tensor, Tensor]:
    levels, scales = quantize(weight)
    return levels.to(torch.int8), scales.flatten()


def test_a_row_has_levels_from_its_own_scale() -> None:
    x = torch.tensor([[2.54, -1.0, 0.0], [0.0, 0.0, 0.0], [-1e9, 4e8, 0.0]])
    levels, scales = quantize(x)
    assert levels.tolist() == [[127, -50, 0], [0, 0, 0], [-127, 51, 0]]
    torch.testing.assert_close(levels * scales, x, rtol=0.01, atol=0)


def test_the_number_of_rows_is_one_of_few_and_hardly_larger() -> None:
    sizes = {padded(rows) for rows in range(1, CHUNK + 1)}
    assert len(sizes) <= 22
    assert all(rows <= padded(rows) <= max(1.25 * rows, rows + 3) for rows in range(1, CHUNK + 1))


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_product_is_that_of_the_levels(has_bias: bool) -> None:
    x, weight, bias = random(2, 5, 64), random(24, 64, seed=2), random(24, seed=3) if has_bias else None
    found = Int8Product(*levels_of(weight), bias, None)(x)
    (rows, row_scales), (columns, column_scales) = quantize(x), quantize(weight)
    exact = (rows.double() @ columns.double().T) * row_scales * column_scales.T
    torch.testing.assert_close(found.double(), exact + (0 if bias is None else bias), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found, torch.nn.functional.linear(x, weight, bias), rtol=0, atol=0.3)


def test_a_row_has_the_same_bits_alone_and_among_others() -> None:
    x, product = random(CHUNK + 77, 48), Int8Product(*levels_of(random(40, 48, seed=2)), random(40), None)
    together = product(x)
    for row in (0, 1, 76, CHUNK - 1, CHUNK, CHUNK + 76):
        assert torch.equal(product(x[row : row + 1])[0], together[row])


def test_no_number_stays_no_number() -> None:
    x = random(3, 16)
    x[1, 4] = torch.nan
    found = Int8Product(*levels_of(random(8, 16)), None, None)(x)
    assert found.isnan().any(-1).tolist() == [False, True, False]


def test_with_scales_of_the_output_results_are_whole_and_bounded() -> None:
    weight, bias, scales = random(6, 32), random(6, seed=2), torch.tensor([0.5, 0.1, 0.2, 1.0, 2.0, 1e-4])
    x = random(4, 32, seed=3)
    found, free = Int8Product(*levels_of(weight), bias, scales)(x), Int8Product(*levels_of(weight), bias, None)(x)
    assert torch.equal(found, found.round())
    assert found.abs().max() == BOUND
    torch.testing.assert_close(found[:, :5] * scales[:5], free[:, :5], rtol=0, atol=1.001)


def whole(*shape: int, seed: int = 1) -> Tensor:
    return (random(*shape, seed=seed) * 32).round().clamp(-BOUND, BOUND)


def test_the_mean_is_that_of_the_softmax() -> None:
    scores, values = random(2, 3, 5, 9) * 2, whole(2, 3, 9, 16)
    torch.testing.assert_close(mean(scores.clone(), values), scores.softmax(-1) @ values, rtol=0, atol=0.5)


def test_neither_hidden_positions_nor_the_order_of_positions_change_a_mean() -> None:
    scores, values = random(1, 2, 5, 23) * 2, whole(1, 2, 23, 16)
    expected = mean(scores.clone(), values)
    for room in (24, 32, 57, 300):
        order = torch.randperm(room, generator=torch.Generator().manual_seed(room))
        wide, more = torch.full((1, 2, 5, room), -torch.inf), whole(1, 2, room, 16, seed=9)
        wide[..., :23], more[:, :, :23] = scores, values
        assert torch.equal(mean(wide[..., order], more[:, :, order]), expected)


def test_sums_too_large_for_float32_are_exact_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, values = torch.zeros(1, 1, 2, 4096), whole(1, 1, 4096, 8) + BOUND // 2
    expected = values.double().sum(2, keepdim=True).float() / 4096
    assert torch.equal(mean(scores.clone(), values), expected.expand(-1, -1, 2, -1))
    few, some = random(1, 1, 3, 9), whole(1, 1, 9, 8)
    kept = mean(few.clone(), some)
    monkeypatch.setattr(int8, "EXACT", 0)
    assert torch.equal(mean(few.clone(), some), kept)


def test_sums_that_saturate_are_noticed() -> None:
    program = "from nmt.model.int8 import is_exact; print(is_exact())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
