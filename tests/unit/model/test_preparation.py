"""A model prepared for inference says what it said before."""

from typing import Any, Literal

import pytest
import torch
from precisions import in_int8
from torch import Tensor, nn

from nmt.config.decoding import InferencePrecision
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.model import layers, windows
from nmt.model.encoder_decoder import Transformer
from nmt.model.preparation import dequantize, hold_levels, prepare, quantize_model

SIZE = 50
Tying = Literal["none", "target", "all"]


def make_model(*, seed: int = 1, **settings: Any) -> Transformer:
    torch.manual_seed(seed)
    shape = {"d_model": 32, "heads": 2, "ffn": 64, "encoder_layers": 2, "decoder_layers": 2, "max_length": 16}
    model = Transformer(ModelConfig.model_validate({**shape, **settings}), SIZE, SIZE, pad_id=PAD_ID).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.2)
    return model


SRC = torch.tensor([[5, 6, 7, 8, EOS_ID], [9, 10, EOS_ID, PAD_ID, PAD_ID]])
TGT = torch.tensor([[BOS_ID, 11, 12, 13], [BOS_ID, 14, 15, 16]])


@torch.inference_mode()
def log_probs(model: Any) -> Tensor:
    logits: Tensor = model(SRC, TGT)
    return logits.float().log_softmax(-1)


@torch.inference_mode()
def step_by_step(model: Any) -> Tensor:
    cache = model.start_cache(SRC)
    logits = [model.generator(model.next_hidden(TGT[:, [at]], cache)) for at in range(TGT.size(1))]
    return torch.cat(logits, 1).float().log_softmax(-1)


@in_int8
@pytest.mark.parametrize("tied", ["none", "target", "all"])
@pytest.mark.parametrize("block", [{"positions": "sinusoidal"}, {"positions": "learned"}, {"activation": "swiglu"}])
def test_the_weights_in_int8_are_all_that_the_model_needs(tied: Tying, block: dict[str, Any]) -> None:
    model = make_model(tied_embeddings=tied, **block)
    quantize_model(model)
    weights = model.weights()
    assert (
        len([name for name in weights if name in ("source_embedding.weight", "generator.weight")])
        == {**{"none": 2, "target": 1, "all": 0}}[tied]
    )
    other = make_model(tied_embeddings=tied, **block, seed=2)
    hold_levels(other)
    other.load_weights(weights)
    expected = log_probs(prepare(make_model(tied_embeddings=tied, **block), "int8"))
    assert torch.equal(log_probs(prepare(other, "int8")), expected)
    assert torch.equal(log_probs(prepare(model, "int8")), expected)


def test_levels_times_scales_are_about_the_weights() -> None:
    model, expected = make_model(), make_model().weights()
    quantize_model(model)
    small = model.weights()
    assert {small[name].dtype for name in expected if name.endswith("weight") and "norm" not in name} == {torch.int8}
    assert sum(tensor.nbytes for tensor in small.values()) < 0.36 * sum(map(nbytes, expected.values()))
    prepare(model, "float32")
    torch.testing.assert_close(log_probs(model), log_probs(make_model()), rtol=0, atol=0.1)
    whole = make_model()
    quantize_model(whole)
    dequantize(whole)
    found = whole.weights()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=float(weight.abs().max()) / 127)


def nbytes(tensor: Tensor) -> int:
    return tensor.nbytes


def test_the_scales_of_activations_do_not_hang_on_the_last_bits_of_a_sum() -> None:
    model = make_model()
    quantize_model(model)
    scales = torch.cat([tensor.flatten() for name, tensor in model.weights().items() if "attention.scales" in name])
    inputs = torch.cat([tensor for name, tensor in model.weights().items() if name.endswith("input_scale")])
    assert (len(scales), len(inputs)) == (6 * 2 * 2, 2 * 5 + 2 * 8 + 1)
    for found in (scales, inputs):
        fractions = torch.frexp(found).mantissa * 32
        assert torch.equal(fractions, fractions.round())
        assert 0 < float(found.min()) < float(found.max()) < 1


@in_int8
def test_in_int8_weights_that_are_no_numbers_stay_so() -> None:
    for name in ("target_embedding.weight", "encoder.0.feed_forward_norm.bias", "decoder.1.feed_forward.inner.bias"):
        model = make_model()
        with torch.no_grad():
            model.get_parameter(name)[0] = torch.nan
        assert log_probs(prepare(model, "int8")).isnan().all()


@pytest.mark.parametrize("tied", ["none", "target", "all"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("onednn", [True, False])
def test_in_float32_it_is_the_same_model(tied: Tying, norm: str, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "ONEDNN_TYPES", {torch.float32} if onednn else set())
    model = make_model(tied_embeddings=tied, norm=norm)
    expected = log_probs(model)
    table = model.target_embedding.weight.clone()
    prepare(model, "float32")
    torch.testing.assert_close(log_probs(model), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(step_by_step(model), expected, rtol=0, atol=2e-5)
    assert torch.equal(model.target_embedding.weight, table)
    used = [module for module in model.modules() if isinstance(module, layers.Linear)]
    assert len(used) == 2 * 4 + 2 * 7 + 1  # queries, keys and values of self-attention in one
    assert all((linear.packed is not None) == (onednn and layers.HAS_ONEDNN) for linear in used)


def test_in_bfloat16_it_is_about_the_same_model() -> None:
    expected, model = log_probs(make_model()), make_model()
    prepare(model, "bfloat16")
    torch.testing.assert_close(log_probs(model), expected, rtol=0, atol=0.15)


@in_int8
@pytest.mark.parametrize(("heads", "width"), [(3, 5), (1, 64), (4, 2)])
def test_heads_of_any_width_in_every_precision_and_step_by_step(heads: int, width: int) -> None:
    expected = log_probs(make_model(heads=heads, head_width=width))
    tolerances: dict[InferencePrecision, float] = {"float32": 2e-5, "bfloat16": 0.15, "int8": 0.3}
    for precision, tolerance in tolerances.items():
        model = prepare(make_model(heads=heads, head_width=width), precision)
        torch.testing.assert_close(log_probs(model), expected, rtol=0, atol=tolerance)
        torch.testing.assert_close(step_by_step(model), expected, rtol=0, atol=tolerance)
    other = make_model(heads=heads, head_width=width, seed=2)
    whole = make_model(heads=heads, head_width=width)
    quantize_model(whole)
    hold_levels(other)
    other.load_weights(whole.weights())
    assert torch.equal(log_probs(prepare(other, "int8")), log_probs(model))


BLOCKS: list[dict[str, Any]] = [
    *({"positions": positions} for positions in ("sinusoidal", "learned", "rotary")),
    *({"activation": activation} for activation in ("gelu", "silu", "swiglu")),
    {"attention_window": 1, "positions": "rotary"},
]
blocks = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: "-".join(map(str, block.values())))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a window have so small blocks that the sentences have several."""
    monkeypatch.setattr(windows, "SIZE", 2)
    monkeypatch.setattr(windows, "ALIGNED", 1)


@blocks
def test_every_block_is_the_same_in_float32_and_about_the_same_in_bfloat16(block: dict[str, Any]) -> None:
    expected = log_probs(make_model(**block))
    tolerances: dict[InferencePrecision, float] = {"float32": 2e-5, "bfloat16": 0.15}
    for precision, tolerance in tolerances.items():
        model = prepare(make_model(**block), precision)
        torch.testing.assert_close(log_probs(model), expected, rtol=0, atol=tolerance)
        torch.testing.assert_close(step_by_step(model), expected, rtol=0, atol=tolerance)


@in_int8
@blocks
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_in_int8_it_is_about_the_same_model_and_the_same_bits_step_by_step(norm: str, block: dict[str, Any]) -> None:
    model = make_model(norm=norm, **block)
    expected = log_probs(model)
    prepare(model, "int8")
    found = log_probs(model)
    assert (found - expected).abs().mean() < 0.05
    assert not torch.equal(found, expected)
    assert torch.equal(step_by_step(model), found)
    with torch.inference_mode():
        alone = model(SRC[1:, :3], TGT[1:]).log_softmax(-1)
    assert torch.equal(alone, found[1:])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not [
        name for name, _ in model.named_parameters() if "attention" in name or "feed" in name if "norm" not in name
    ]
    weights = model.attention(SRC, TGT, 1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4))
    torch.testing.assert_close(weights, make_model(norm=norm, **block).attention(SRC, TGT, 1), rtol=0, atol=0.05)
