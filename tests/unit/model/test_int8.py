"""Products in small integers: what they say, and that nothing but the row itself counts."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from precisions import in_int8
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.model import int8
from nmt.model.int8 import (
    LARGEST,
    UNSIGNED,
    ZERO,
    Int8Product,
    apart,
    attend,
    feed_forward,
    mean,
    padded,
    parts,
    quantize,
)

pytestmark = in_int8


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def product(weight: Tensor, bias: Tensor | None = None, scale: float = 0.03, out: Tensor | None = None) -> Int8Product:
    levels, scales = quantize(weight)
    return Int8Product(levels, scales.flatten(), bias, scale, out)


def test_a_row_of_a_weight_has_levels_of_its_own_scale() -> None:
    x = torch.tensor([[2.54, -1.0, 0.0], [0.0, 0.0, 0.0], [-1e9, 4e8, 0.0]])
    levels, scales = quantize(x)
    assert levels.tolist() == [[127, -50, 0], [0, 0, 0], [-127, 51, 0]]
    torch.testing.assert_close(levels * scales, x, rtol=0.01, atol=0)


def test_the_number_of_rows_is_one_of_few_and_hardly_larger() -> None:
    sizes = {padded(rows) for rows in range(1, 700)}
    assert len(sizes) <= 40
    assert [padded(rows) for rows in (1, 5, 8, 9, 33, 535)] == [1, 5, 8, 12, 40, 640]
    assert all(rows <= padded(rows) <= max(1.25 * rows, rows + 3) for rows in range(1, 700))


def test_the_inputs_are_levels_of_one_scale_and_bounded() -> None:
    rows = torch.tensor([[0.0, 0.014, 0.016, -0.045, -0.075, 3.8, 9.0, -9.0]])
    levels = product(random(4, 8)).quantize(rows)
    assert (levels.int() - ZERO).tolist() == [[0, 0, 1, -2, -2, LARGEST, LARGEST, -LARGEST]]


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_product_is_that_of_the_levels(has_bias: bool) -> None:
    x, weight, bias = random(2, 5, 64), random(24, 64, seed=2), random(24, seed=3) if has_bias else None
    found = product(weight, bias)(x)
    levels, scales = quantize(weight)
    exact = ((x / 0.03).round().double() @ levels.double().T) * 0.03 * scales.flatten()
    torch.testing.assert_close(found.double(), exact + (0 if bias is None else bias), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found, F.linear(x, weight, bias), rtol=0, atol=0.5)


def test_a_row_has_the_same_bits_alone_and_among_others() -> None:
    x = random(333, 48)
    for each in (
        product(random(40, 48, seed=2), random(40)),
        product(random(40, 48, seed=2), random(40), out=torch.full((40,), 0.3)),
    ):
        together = each(x)
        for row in (0, 1, 76, 255, 256, 332):
            assert torch.equal(each(x[row : row + 1])[0], together[row])
        assert torch.equal(each(x[100:107]), together[100:107])


def test_with_scales_of_the_output_results_are_levels_of_them() -> None:
    weight, bias, scales = random(6, 32), random(6, seed=2), torch.tensor([0.5, 0.1, 0.2, 1.0, 2.0, 1e-4])
    x = random(4, 32, seed=3)
    levels, free = product(weight, bias, out=scales)(x), product(weight, bias)(x)
    assert levels.dtype == torch.uint8
    torch.testing.assert_close((levels.float() - ZERO)[:, :5] * scales[:5], free[:, :5], rtol=0, atol=1.001)
    assert {0, UNSIGNED} >= set(levels[:, 5].tolist())  # saturated


def test_a_norm_takes_over_to_scale_the_rows() -> None:
    norm, x, weight = nn.LayerNorm(32).requires_grad_(False), random(7, 32), random(8, 32, seed=2)
    nn.init.normal_(norm.weight, 1, 0.2)
    nn.init.normal_(norm.bias, 0, 0.2)
    before, folded = product(weight)(norm(x)), product(weight)
    folded.fold(norm)
    folded.fold(norm)  # once is enough
    torch.testing.assert_close(folded(norm(x)), before, rtol=0, atol=0.3)  # a level of an input may differ


def test_between_the_products_of_feed_forward_are_unsigned_levels() -> None:
    x, inner, outer = random(2, 3, 16), random(48, 16, seed=2) / 4, random(16, 48, seed=3)
    (a, a_scales), (b, b_scales) = quantize(inner), quantize(outer)
    first = Int8Product(a, a_scales.flatten(), None, 0.03, torch.full((48,), 0.02), relu=True)
    second = Int8Product(b, b_scales.flatten(), None, 0.02, zero=0)
    found = feed_forward(x, first, second)
    torch.testing.assert_close(found, F.relu(x @ inner.T) @ outer.T, rtol=0, atol=0.3)


@pytest.mark.parametrize("function", [F.gelu, F.silu])
def test_an_activation_by_a_table_is_near_and_a_number_has_the_same_bits_wherever_it_stands(
    function: Callable[[Tensor], Tensor],
) -> None:
    table = int8.GatedByTable(function)
    x = torch.linspace(-30, 30, 20_001)
    found = table(x.clone())
    torch.testing.assert_close(found, function(x), rtol=0, atol=0.003)
    assert torch.equal(found[-50:], x[-50:])
    assert not found[:50].any()
    for at in (0, 1, 6_999, 10_000, 20_000):
        assert torch.equal(table(x[at : at + 1])[0], found[at])
    assert table(torch.tensor([torch.nan])).isnan().all()


def whole(*shape: int, seed: int = 1) -> Tensor:
    return (random(*shape, seed=seed) * 24 + ZERO).round().clamp(0, UNSIGNED)


def test_attention_is_that_of_the_levels_whatever_their_type() -> None:
    batch, heads, length, size = 2, 3, 5, 8
    queries, keys, values = (whole(batch, length, heads, size, seed=seed).transpose(1, 2) for seed in (1, 2, 3))
    scale, mask = torch.full((heads, 1, 1), 24.0**-2), torch.ones(length, length).tril().log()
    output = product(torch.eye(heads * size), scale=1.0)
    found = attend(queries.byte(), keys.byte(), values.byte(), mask, scale, output)
    shares = ((queries - ZERO) @ (keys - ZERO).transpose(-2, -1) * scale + mask).softmax(-1)
    expected = (shares @ (values - ZERO)).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1.0)
    assert torch.equal(attend(queries.byte(), keys, values, mask, scale, output), found)


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
    scores, values = torch.zeros(1, 1, 2, 4096), whole(1, 1, 4096, 8)
    expected = values.double().sum(2, keepdim=True).float() / 4096
    assert torch.equal(mean(scores.clone(), values), expected.expand(-1, -1, 2, -1))
    few, some, queries, scale = random(1, 1, 3, 9), whole(1, 1, 9, 8), whole(1, 1, 3, 8, seed=2), torch.ones(1, 1, 1)
    kept, scores = mean(few.clone(), some), int8.scores(queries.byte(), some, scale)
    monkeypatch.setattr(int8, "EXACT", 0)
    assert torch.equal(mean(few.clone(), some), kept)
    assert torch.equal(int8.scores(queries.byte(), some, scale), scores)


def test_sums_that_saturate_are_noticed() -> None:
    program = "from nmt.model.int8 import is_exact; print(is_exact())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_parts_of_heads_are_products_of_their_levels_and_columns(has_bias: bool) -> None:
    weight, bias = random(24, 12, seed=2), random(24, seed=3) if has_bias else None
    values = torch.randint(0, UNSIGNED + 1, (2, 3, 5, 4), generator=torch.Generator().manual_seed(1))
    found = parts(values.to(torch.uint8), product(weight, bias))
    levels, scales = quantize(weight)
    exact = torch.einsum("bhse,dhe->bhsd", (values - ZERO).double(), (levels * scales).double().view(24, 3, 4)) * 0.03
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-5)


def test_contexts_hold_one_head_each() -> None:
    values = torch.arange(1.0, 9.0).view(1, 2, 2, 2)
    assert apart(values).tolist() == [[[[1, 2, 0, 0], [3, 4, 0, 0]], [[0, 0, 5, 6], [0, 0, 7, 8]]]]
