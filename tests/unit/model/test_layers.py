"""The layers beyond parity with torch: dropout's bits, masks of attention, oneDNN, rotations."""

import math

import pytest
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.model import layers
from nmt.model.embedding import SinusoidalPositions
from nmt.model.layers import (
    Attention,
    Dropout,
    Linear,
    SelfAttention,
    causal_mask,
    linear_weights,
    prepare_mask,
    rotate,
    softmax,
)

RATES = [0.1, 0.15, 0.3, 0.5, 0.9]
SIGMAS = 5.0


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def draw_mask(p: float, *shape: int, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return Dropout(p).train()(torch.ones(*shape))


def assert_rate(dropped: Tensor, p: float) -> None:
    """Check a number of dropped elements against the binomial distribution."""
    count = dropped.numel()
    sigma = math.sqrt(p * (1 - p) / count)
    assert abs(float(dropped.double().mean()) - p) < SIGMAS * sigma


@pytest.mark.parametrize("p", RATES)
def test_dropout_zeroes_the_share_p_and_scales_the_rest(p: float) -> None:
    mask = draw_mask(p, 400, 1000)
    assert_rate(mask == 0, p)
    assert mask[mask != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-6)


@pytest.mark.parametrize("p", RATES)
def test_dropout_leaves_the_mean_as_it_is(p: float) -> None:
    mask = draw_mask(p, 400_000)
    sigma = math.sqrt(p / (1 - p) / mask.numel())
    assert abs(float(mask.double().mean()) - 1) < SIGMAS * sigma


@pytest.mark.parametrize("lane", range(4))
def test_each_sixteen_bits_of_a_random_word_are_uniform_the_highest_too(lane: int) -> None:
    # Each rate is another threshold: together they are points of the distribution function of the bits.
    for p in (2**-8, 1 / 16, 0.25, 0.499, 0.5, 0.501, 0.75, 15 / 16, 1 - 2**-8):
        assert_rate(draw_mask(p, 400_000)[lane::4] == 0, p)


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("apart", [1, 2, 3, 4, 5, 8, 16, 64])
def test_elements_of_one_word_and_of_neighbouring_words_are_independent(apart: int, p: float) -> None:
    dropped = (draw_mask(p, 400_000) == 0).double() - p
    products = dropped[:-apart] * dropped[apart:]
    for lane in range(4):
        lanes = products[lane::4]
        assert abs(float(lanes.mean())) < SIGMAS * p * (1 - p) / math.sqrt(len(lanes))


def test_rows_and_columns_are_dropped_alike() -> None:
    dropped = draw_mask(0.3, 500, 800) == 0
    for places in (dropped.double().mean(0), dropped.double().mean(1)):
        sigma = math.sqrt(0.3 * 0.7 * len(places) / dropped.numel())
        assert float((places - 0.3).abs().max()) < SIGMAS * sigma


def test_dropout_is_a_function_of_the_seed() -> None:
    once, again, other = (draw_mask(0.5, 1000, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_dropout_is_drawn_anew_at_each_call() -> None:
    layer = Dropout(0.5).train()
    assert not torch.equal(layer(torch.ones(1000)), layer(torch.ones(1000)))


def test_dropout_is_the_identity_in_evaluation_and_at_rate_0() -> None:
    x = torch.randn(5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


def test_dropout_scales_values_and_gradients_by_one_mask() -> None:
    torch.manual_seed(1)
    x = torch.full((1001,), 3.0, requires_grad=True)  # a number that four does not divide
    y = Dropout(0.25).train()(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(y.detach(), 3.0 * x.grad)
    assert x.grad.unique().tolist() == pytest.approx([0, 4 / 3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_keeps_type_and_shape_also_of_a_tensor_that_is_not_contiguous(dtype: torch.dtype) -> None:
    x = torch.ones(3, 5, 2, dtype=dtype).transpose(0, 1)
    y = Dropout(0.5).train()(x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    assert set(y.flatten().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("p", RATES)
def test_dropout_drops_the_same_places_in_every_type(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    mask = Dropout(p).train()(torch.ones(400, 1001, dtype=dtype))
    assert_rate(mask == 0, p)
    assert torch.equal(mask == 0, draw_mask(p, 400, 1001) == 0)


def test_a_rate_next_to_one_drops_nearly_all_instead_of_wrapping_around() -> None:
    for p in (0.99999, 0.999999, math.nextafter(1, 0)):
        assert int(draw_mask(p, 10_000).count_nonzero()) <= 5


def test_a_masked_position_gets_no_attention_however_low_the_others_score() -> None:
    torch.manual_seed(1)
    attention = Attention(ModelConfig(d_model=16, heads=4)).double()
    x, memory = 100 * torch.randn(2, 5, 16, dtype=torch.float64), 100 * torch.randn(2, 6, 16, dtype=torch.float64)
    masked = attention(x, memory, torch.arange(6) < 2)
    torch.testing.assert_close(masked, attention(x, memory[:, :2], None), rtol=1e-12, atol=1e-12)


def test_linear_weights_are_the_scores_of_the_attended_positions_over_their_number() -> None:
    scores = torch.tensor([[3.0, -1.5, 6.0], [0.5, 2.0, -4.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    expected = torch.tensor([[1.5, -0.75, 0.0], [0.0, 0.0, 0.0]])  # of a position that sees nothing, zeros
    for given in (mask, prepare_mask(mask), prepare_mask(mask).clamp_min(-1e9)):
        assert torch.equal(linear_weights(scores, given), expected)
    assert torch.equal(linear_weights(scores, None), scores / 3)
    assert torch.equal(
        linear_weights(torch.tensor([[torch.inf, 2.0]]), torch.tensor([False, True])), torch.tensor([[0.0, 2.0]])
    )


def test_linear_attention_is_a_sum_of_values_by_products_of_queries_and_keys() -> None:
    torch.manual_seed(1)
    attention = Attention(ModelConfig(d_model=8, heads=2, attention_kernel="linear")).double()
    x, memory = torch.randn(1, 3, 8, dtype=torch.float64), torch.randn(1, 5, 8, dtype=torch.float64)
    queries, (keys, values) = attention.query(x)[0], attention.key_value(memory)[0].chunk(2, -1)
    context = torch.zeros(3, 8, dtype=torch.float64)
    for t in range(3):
        for s in range(4):  # the last one is masked
            for head in (slice(0, 4), slice(4, 8)):
                context[t, head] += (queries[t, head] @ keys[s, head]) / 2 / 4 * values[s, head]
    found = attention(x, memory, torch.arange(5) < 4)[0]
    torch.testing.assert_close(found, attention.output(context), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(found, Attention(ModelConfig(d_model=8, heads=2)).double()(x, memory, None)[0])


def test_causal_linear_attention_needs_no_mask_of_its_caller() -> None:
    torch.manual_seed(1)
    attention = SelfAttention(ModelConfig(d_model=8, heads=2, attention_kernel="linear")).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    expected = attention(x, None, torch.ones(5, 5, dtype=torch.bool).tril(), is_causal=True)
    assert torch.equal(attention(x, None, None, is_causal=True), expected)  # as a GPU is called
    assert not torch.allclose(attention(x, None, None), expected)


def test_norms_of_negative_weights_are_positive() -> None:
    attention = Attention(ModelConfig(d_model=8, heads=1, attention_kernel="linear"))
    by_head, together = attention.norms(torch.tensor([[[[-2.0, 1.0]]]]), torch.ones(1, 1, 2, 8))
    assert float(by_head.min()) > 0
    torch.testing.assert_close(by_head[..., 0], 2 * by_head[..., 1])
    torch.testing.assert_close(together, by_head[:, 0])


@pytest.mark.parametrize("width", [1, 3, 8])
def test_heads_of_any_width_attend_by_the_formula_of_the_paper(width: int) -> None:
    torch.manual_seed(1)
    attention = Attention(ModelConfig(d_model=16, heads=3, head_width=width)).double()
    x, memory = torch.randn(2, 5, 16, dtype=torch.float64), torch.randn(2, 6, 16, dtype=torch.float64)
    queries, keys_values = attention.query(x), attention.key_value(memory)
    heads = []
    for start in range(0, 3 * width, width):
        query = queries[..., start : start + width]
        key, value = (keys_values[..., at : at + width] for at in (start, 3 * width + start))
        heads.append((query @ key.mT / math.sqrt(width)).softmax(-1) @ value)
    expected = attention.output(torch.cat(heads, -1))
    torch.testing.assert_close(attention(x, memory, None), expected, rtol=1e-12, atol=1e-12)


def test_a_rotation_is_the_product_of_complex_numbers() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 3, 9, 6, dtype=torch.float64)
    angles = torch.tensor([[at / 10_000 ** (2 * pair / 6) for pair in range(3)] for at in range(9)])
    turns = torch.polar(torch.ones_like(angles), angles)
    expected = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (3, 2))) * turns).flatten(-2)
    torch.testing.assert_close(rotate(x, SinusoidalPositions(9, 6)(0, 9)), expected, rtol=0, atol=1e-6)


def test_scores_of_rotated_queries_and_keys_depend_on_their_distance_alone() -> None:
    torch.manual_seed(1)
    positions = SinusoidalPositions(90, 8)
    query, key = torch.randn(2, 1, 8, dtype=torch.float64)
    rows, columns = rotate(query.expand(90, 8), positions(0, 90)), rotate(key.expand(90, 8), positions(0, 90))
    scores = rows @ columns.T
    for distance in range(-40, 41):
        along = scores.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-5)
    assert float(scores[0].std()) > 0.1
    assert float(scores[0, 0]) == pytest.approx(float(query @ key.T))


def test_positions_turn_queries_and_keys_of_self_attention_and_no_values() -> None:
    torch.manual_seed(1)
    attention, x = SelfAttention(ModelConfig(d_model=16, heads=4)), torch.randn(2, 5, 16)
    plain, turned = attention.project(x, None), attention.project(x, SinusoidalPositions(9, 4)(3, 5))
    assert torch.equal(turned[2], plain[2])
    for one, other in zip(turned[:2], plain[:2], strict=True):
        torch.testing.assert_close(one, rotate(other, SinusoidalPositions(9, 4)(3, 5)), rtol=0, atol=0)
        assert not torch.allclose(one, other)


@pytest.mark.parametrize("mask", [None, torch.ones(300, dtype=torch.bool)], ids=["without a mask", "with one"])
def test_in_bfloat16_attention_weighs_in_float32(mask: Tensor | None) -> None:
    torch.manual_seed(1)
    attention = Attention(ModelConfig(d_model=16, heads=4, attention_dropout=0.0)).eval()
    x = torch.randn(2, 300, 16)
    with torch.no_grad():
        exact = attention(x, x, None)
        seen: list[torch.dtype] = []
        softmax = Tensor.softmax

        def spy(scores: Tensor, dim: int) -> Tensor:
            seen.append(scores.dtype)
            return softmax(scores, dim)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "softmax", spy)
            near = attention.bfloat16()(x.bfloat16(), x.bfloat16(), mask)
    assert (near.dtype, seen) == (torch.bfloat16, [torch.float32])
    torch.testing.assert_close(near.float(), exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 40])
def test_softmax_is_that_of_torch_in_rows_of_a_vector_or_more(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    scores = torch.randn(3, 2, 5, size).masked_fill(torch.arange(size) > 10, -math.inf).requires_grad_()
    expected = scores.softmax(-1)
    gradient = torch.randn_like(expected)
    (d_expected,) = torch.autograd.grad(expected, scores, gradient)
    rows: list[int] = []
    plain = Tensor.softmax

    def spy(padded: Tensor, dim: int) -> Tensor:
        rows.append(padded.size(dim))
        return plain(padded, dim)

    monkeypatch.setattr(Tensor, "softmax", spy)
    weights = softmax(scores)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(torch.autograd.grad(weights, scores, gradient)[0], d_expected)
    assert rows == [max(size, layers.VECTOR)]


def test_a_mask_becomes_the_number_to_add_once() -> None:
    mask = torch.tensor([[True, False]])
    prepared = prepare_mask(mask)
    assert prepared.tolist() == [[0.0, -math.inf]]
    assert prepare_mask(prepared) is prepared


@pytest.mark.parametrize("length", [5, 8, 11])
def test_on_a_gpu_a_mask_has_the_type_of_the_model_and_rows_that_the_kernel_need_not_copy(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = torch.arange(length) < torch.tensor([length, 2])[:, None]
    expected = prepare_mask(mask)
    monkeypatch.setattr(Tensor, "is_cuda", True, raising=False)
    prepared = prepare_mask(mask[:, None, None], torch.bfloat16)
    assert (prepared.dtype, prepared.shape) == (torch.bfloat16, (2, 1, 1, length))
    assert torch.equal(prepared[:, 0, 0].float(), expected)
    assert [stride % layers.ALIGNMENT for stride in prepared.stride()] == [0, 0, 0, 1]


def test_a_causal_mask_hides_the_positions_behind_and_a_gpu_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.ones(7, 3, dtype=torch.long)
    hidden = -math.inf
    mask = causal_mask(ids)
    assert mask is not None
    assert mask.tolist() == [[0.0, hidden, hidden], [0.0, 0.0, hidden], [0.0, 0.0, 0.0]]
    monkeypatch.setattr(Tensor, "is_cuda", True, raising=False)
    assert causal_mask(ids) is None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("onednn", [True, False])
def test_a_packed_map_computes_what_it_did(
    bias: bool, kind: torch.dtype, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "ONEDNN_TYPES", {torch.float32, torch.bfloat16} if onednn else set())
    torch.manual_seed(1)
    linear, x = Linear(7, 5, bias=bias).to(kind), torch.randn(3, 2, 7, dtype=kind)
    expected, shared = linear(x), linear.weight
    linear.pack()
    with torch.inference_mode():
        torch.testing.assert_close(linear(x), expected)
        torch.testing.assert_close(linear(x[0, 0]), expected[0, 0])
    assert shared.is_contiguous()  # as an embedding needs it
    if onednn and layers.HAS_ONEDNN and kind != torch.float64:
        assert linear.weight is None
    else:
        assert linear.weight.t().is_contiguous()


def test_a_position_whose_vector_is_zero_adds_nothing_though_its_weight_is_high() -> None:
    attention = Attention(ModelConfig(d_model=8, heads=2, ffn=8))
    values = torch.randn(1, 2, 3, 4)
    values[:, :, 1] = 0
    weights = torch.tensor([0.04, 0.95, 0.01]).expand(1, 2, 5, 3)
    by_head, together = attention.norms(weights, values)
    assert not by_head[..., 1].any()
    assert not together[..., 1].any()
    assert (by_head[..., [0, 2]] > 0).all()


def test_heads_that_add_the_opposite_add_nothing_together() -> None:
    attention = Attention(ModelConfig(d_model=8, heads=2, ffn=8))
    with torch.no_grad():
        attention.output.weight[:, 4:] = -attention.output.weight[:, :4]
    values = torch.randn(1, 1, 3, 4).expand(1, 2, 3, 4)
    by_head, together = attention.norms(torch.full((1, 2, 5, 3), 1 / 3), values)
    assert (by_head > 0.01).all()
    assert together.max() < 1e-6
