"""The encoder-decoder beyond parity with torch: where dropout is, initial weights, their names and sizes."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config.model import ModelConfig
from nmt.model.encoder_decoder import Transformer
from nmt.model.layers import Dropout

PAD = 0


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_model(source_size: int = 20, target_size: int = 20, **values: Any) -> Transformer:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 2, "decoder_layers": 2, "max_length": 16}
    return Transformer(ModelConfig.model_validate({**shape, **values}), source_size, target_size, pad_id=PAD)


class Recorder(Dropout):
    """Notes the shapes that it is given."""

    def __init__(self, p: float, seen: list[tuple[int, ...]]) -> None:
        super().__init__(p)
        self.seen = seen

    def forward(self, x: Tensor) -> Tensor:
        if self.p:
            self.seen.append(tuple(x.shape))
        return x


def shapes_dropped(**rates: Any) -> Counter[tuple[int, ...]]:
    """Return what is dropped in one pass of 2 + 2 layers over 3 sentences of 5 and 4 pieces."""
    model, seen = make_model(**{"dropout": 0.0, **rates}), list[tuple[int, ...]]()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, name, Recorder(child.p, seen))
    model.train()(torch.full((3, 5), 7), torch.full((3, 4), 7))
    return Counter(seen)


def test_dropout_is_on_both_embeddings_and_every_sub_layer_as_in_section_5_4() -> None:
    assert shapes_dropped(dropout=0.1) == {(3, 5, 16): 1 + 2 * 2, (3, 4, 16): 1 + 2 * 3}


def test_attention_dropout_is_on_the_weights_of_each_attention() -> None:
    assert shapes_dropped(attention_dropout=0.1) == {(3, 4, 5, 5): 2, (3, 4, 4, 4): 2, (3, 4, 4, 5): 2}


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_activation_dropout_is_behind_each_activation(activation: str) -> None:
    assert shapes_dropped(activation_dropout=0.1, activation=activation) == {(3, 5, 24): 2, (3, 4, 24): 2}


def test_with_dropout_two_passes_differ_in_training_and_agree_in_evaluation() -> None:
    model = make_model(dropout=0.1)
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7, 8]])
    assert not torch.equal(model.train()(src, tgt_in), model(src, tgt_in))
    assert torch.equal(model.eval()(src, tgt_in), model(src, tgt_in))


def test_matrices_are_drawn_by_the_uniform_rule_of_xavier_each_by_its_own_shape() -> None:
    model = make_model(d_model=64, ffn=256, tied_embeddings="none", target_size=100)
    matrices: dict[str, Tensor] = {}
    for name, weight in model.weights().items():
        if name.endswith("key_value.weight"):
            matrices |= {f"{name}.{part}": half for part, half in enumerate(weight.chunk(2))}
        elif weight.dim() == 2 and "embedding" not in name:
            matrices[name] = weight
    assert len(matrices) == 2 * (4 + 2) + 2 * (8 + 2) + 1
    for name, matrix in matrices.items():
        bound = math.sqrt(6 / sum(matrix.shape))
        assert 0.98 * bound < float(matrix.abs().max()) <= bound, name
        assert float(matrix.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05), name


def test_heads_of_the_usual_width_have_the_same_weights_whether_it_is_given_or_not() -> None:
    default, given = (make_model(head_width=width).weights() for width in (None, 4))
    assert default.keys() == given.keys()
    assert all(torch.equal(default[name], given[name]) for name in default)
    wide = make_model(heads=3, head_width=7).weights()
    shapes = [tuple(wide[f"encoder.0.self_attention.{part}.weight"].shape) for part in ("query", "key_value", "output")]
    assert shapes == [(21, 16), (42, 16), (16, 21)]


def test_biases_begin_at_zero_and_norms_at_the_identity() -> None:
    for name, weight in make_model(norm="pre").weights().items():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif "norm" in name:
            assert bool((weight == 1).all()), name


@pytest.mark.parametrize("tied", ["all", "target", "none"])
def test_scaled_embeddings_begin_with_variance_1(tied: str) -> None:
    model = make_model(400, 400, d_model=64, tied_embeddings=tied, positions="learned", max_length=256)
    for table in (model.source_embedding.weight, model.target_embedding.weight, model.get_parameter("positions.table")):
        assert float((8 * table.detach()).std()) == pytest.approx(1, rel=0.03)


def test_tied_weights_are_one_tensor_and_listed_once() -> None:
    both = {"source_embedding.weight", "target_embedding.weight", "generator.weight"}
    expected = {"all": {"target_embedding.weight"}, "target": both - {"generator.weight"}, "none": both}
    for tied, names in expected.items():
        model = make_model(tied_embeddings=tied)
        assert both & model.weights().keys() == names
        assert (model.generator.weight is model.target_embedding.weight) == (tied != "none")
        assert (model.source_embedding is model.target_embedding) == (tied == "all")


def test_sides_may_have_vocabularies_of_their_own() -> None:
    model = make_model(11, 17, tied_embeddings="target")
    assert model(torch.tensor([[10, 3]]), torch.tensor([[2, 16, 4]])).shape == (1, 3, 17)


def test_only_pre_norm_stacks_end_in_a_norm_of_their_own() -> None:
    pre, post = (make_model(norm=norm) for norm in ("pre", "post"))
    assert isinstance(pre.encoder_norm, nn.LayerNorm)
    assert isinstance(pre.decoder_norm, nn.LayerNorm)
    assert pre.weights().keys() - post.weights().keys() == {
        f"{side}_norm.{part}" for side in ("encoder", "decoder") for part in ("weight", "bias")
    }


def test_the_base_model_has_the_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        model = Transformer(ModelConfig(), 37_000, 37_000, pad_id=PAD)
    # Table 3 says 65 million of a shared vocabulary of about 37000.
    layers = 6 * (4 * 512 * 512 + 4 * 512) + 12 * (4 * 512 * 512 + 4 * 512)
    feed_forward, norms = 12 * (2 * 512 * 2048 + 2048 + 512), (6 * 2 + 6 * 3) * 2 * 512
    assert sum(weight.numel() for weight in model.weights().values()) == 37_000 * 512 + layers + feed_forward + norms


def test_positions_reach_twice_as_far_as_the_longest_source() -> None:
    for positions in ("sinusoidal", "learned", "rotary"):
        model = make_model(positions=positions, max_length=20)
        assert model.position_limit == 40
        assert model(torch.full((1, 20), 5), torch.full((1, 40), 5)).shape == (1, 40, 20)


def test_loaded_weights_make_the_same_model() -> None:
    model, other = make_model(), make_model()
    for weight in other.weights().values():
        weight.mul_(1.5)
    src, tgt_in = torch.tensor([[5, 6, 3]]), torch.tensor([[2, 7, 8]])
    assert not torch.equal(other.eval()(src, tgt_in), model.eval()(src, tgt_in))
    other.load_weights(model.weights())
    assert torch.equal(other(src, tgt_in), model(src, tgt_in))


def test_weights_of_another_model_are_refused_by_name_and_by_shape() -> None:
    model = make_model()
    missing, strange, misshapen = model.weights(), model.weights(), model.weights()
    del missing["decoder.1.feed_forward.inner.bias"]
    strange["decoder.2.feed_forward.inner.bias"] = torch.zeros(24)
    misshapen["decoder.1.feed_forward.inner.bias"] = torch.zeros(25)
    messages = {
        "decoder.1.feed_forward.inner.bias is not in both the file and the model": missing,
        "decoder.2.feed_forward.inner.bias is not in both the file and the model": strange,
        "decoder.1.feed_forward.inner.bias is (25,), not (24,)": misshapen,
    }
    for message, weights in messages.items():
        with pytest.raises(ValueError, match="is") as caught:
            model.load_weights(weights)
        assert str(caught.value) == message
    levels = {**model.weights(), "decoder.1.feed_forward.inner.bias": torch.zeros(24, dtype=torch.int8)}
    with pytest.raises(
        ValueError, match=r"^decoder.1.feed_forward.inner.bias is of type torch.int8, not torch.float32$"
    ):
        model.load_weights(levels)


def attention_calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Take the branches of a GPU, and list the arguments of its attention."""
    calls: list[dict[str, Any]] = []
    attend = F.scaled_dot_product_attention

    def spy(*tensors: Any, **how: Any) -> Tensor:
        calls.append(how)
        return attend(*tensors, **how)

    monkeypatch.setattr(Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    return calls


SRC = torch.tensor([[5, 6, 7, 3], [7, 3, PAD, PAD]])
TGT_IN = torch.tensor([[2, 8, 9], [2, 11, PAD]])


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_gpu_computes_the_same_with_one_mask_for_all_layers(norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(norm=norm).eval()
    expected = model.hidden(SRC, TGT_IN)
    calls = attention_calls(monkeypatch)
    found = model.hidden(SRC, TGT_IN)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1, :2], expected[1, :2])
    of_encoder, of_decoder, of_memory = calls[:2], calls[2::2], calls[3::2]
    assert [(call["attn_mask"], call["is_causal"]) for call in of_decoder] == [(None, True)] * 2
    mask = of_encoder[0]["attn_mask"]
    assert mask.tolist() == [[[[0.0] * 4]], [[[0.0, 0.0, -math.inf, -math.inf]]]]
    assert all(call["attn_mask"] is mask and not call["is_causal"] for call in [*of_encoder, *of_memory])


def test_where_nothing_is_padded_a_gpu_gets_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model().eval()
    expected = model.hidden(SRC[:1], TGT_IN[:1])
    calls = attention_calls(monkeypatch)
    torch.testing.assert_close(model.hidden(SRC[:1], TGT_IN[:1], src_padded=False), expected)
    assert [call["attn_mask"] for call in calls] == [None] * 6


@pytest.mark.parametrize("training", [True, False])
def test_on_a_cpu_the_mask_of_a_source_without_padding_is_worth_no_bit(training: bool) -> None:
    model, outputs = make_model(dropout=0.1, attention_dropout=0.1).train(training), []
    for src_padded in (True, False):
        model.zero_grad()
        torch.manual_seed(1)
        hidden = model.hidden(SRC[:1], TGT_IN[:1], src_padded=src_padded)
        hidden.square().sum().backward()
        outputs.append([hidden, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)])
    assert len(outputs[0]) > 30
    assert all(map(torch.equal, *outputs))


def test_in_bfloat16_positions_are_added_before_the_sum_is_rounded() -> None:
    model = make_model(positions="sinusoidal", dropout=0.0)
    exact = model.positions(3, 2)
    model.bfloat16()
    embedded, _ = model.embed(model.target_embedding(TGT_IN[:1, 1:]), model.positions(3, 2))
    scaled = 4 * model.target_embedding.weight[TGT_IN[:1, 1:]].float()  # the square root of the width
    assert embedded.dtype == torch.bfloat16
    assert torch.equal(embedded, (scaled + exact).bfloat16())
