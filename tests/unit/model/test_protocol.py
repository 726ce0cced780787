"""The interface of a model: the inputs of the loss, weights in and out, tensors for an export, attention."""

from typing import cast, get_args

import pytest
import torch
from precisions import in_int8
from torch import Tensor, nn

from nmt.config.decoding import InferencePrecision
from nmt.config.model import Architecture, ModelConfig
from nmt.data.encoding.dataset import Batch
from nmt.model.encoder_decoder import Transformer
from nmt.model.families import build
from nmt.model.int8 import ROUND, to_levels
from nmt.model.layers import NORM_EPSILON, Attention, SelfAttention
from nmt.model.preparation import prepare
from nmt.model.protocol import Model, shares

PAD, V = 0, 12
SRC = torch.tensor([[5, 6, 3], [7, 3, PAD]])
TGT_IN = torch.tensor([[2, 8, 9, 10], [2, 11, PAD, PAD]])
LABELS = torch.tensor([[8, 9, 10, 3], [11, 3, PAD, PAD]])


def config(**values: object) -> ModelConfig:
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 2, "decoder_layers": 3, "max_length": 16}
    return ModelConfig.model_validate({**shape, "dropout": 0.3, **values})


def make_model(
    norm: str = "post", tied: str = "all", positions: str = "sinusoidal", window: int | None = None
) -> Transformer:
    torch.manual_seed(1)
    shape = config(norm=norm, tied_embeddings=tied, positions=positions, attention_window=window)
    return Transformer(shape, V, V, pad_id=PAD)


def make_family(architecture: str) -> Model:
    torch.manual_seed(1)
    depths = {"decoder-only": (0, 3), "prefix-lm": (0, 3), "encoder-only": (3, 0)}.get(architecture, (2, 3))
    layers = dict(zip(("encoder_layers", "decoder_layers"), depths, strict=True))
    return build(config(architecture=architecture, norm="pre", positions="rotary", **layers), V, V).eval()


def test_a_family_must_have_every_method() -> None:
    class Half(Model):
        pass

    with pytest.raises(TypeError, match=r"abstract methods.*attentions.*hidden.*next_hidden.*start_cache"):
        Half()  # type: ignore[abstract]


def test_the_inputs_of_the_loss_are_the_hidden_states_of_the_real_labels() -> None:
    model = make_model().eval()
    real = LABELS != PAD
    hidden, labels = model.loss_inputs(Batch(SRC, TGT_IN, LABELS, real.flatten().nonzero()[:, 0]))
    assert labels.tolist() == [8, 9, 10, 3, 11, 3]
    assert torch.equal(hidden, model.hidden(SRC, TGT_IN)[real])
    torch.testing.assert_close(model.generator(hidden), model(SRC, TGT_IN)[real])


def test_every_layer_and_nothing_else_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    model, compiled = make_model(), list[tuple[nn.Module, dict[str, object]]]()
    monkeypatch.setattr(nn.Module, "compile", lambda module, **how: compiled.append((module, how)))
    model.compile_layers()
    assert compiled == [(layer, {"dynamic": True}) for layer in [*model.encoder, *model.decoder]]


@pytest.mark.parametrize(("positions", "width"), [("sinusoidal", 16), ("learned", 16), ("rotary", 4)])
def test_an_export_gets_tied_weights_under_each_of_their_names_and_the_positions(positions: str, width: int) -> None:
    model = make_model(positions=positions)
    tensors, weights = model.all_tensors(), model.weights()
    tied = [f"{name}.weight" for name in ("source_embedding", "target_embedding", "generator")]
    assert len({tensors[name].data_ptr() for name in tied}) == 1
    assert len(weights.keys() & set(tied)) == 1
    assert tensors.keys() == weights.keys() | {*tied, "positions.table"}
    assert tensors["positions.table"].shape == (32, width)
    assert not any(tensor.requires_grad for tensor in [*tensors.values(), *weights.values()])


def test_the_epsilon_of_every_norm_is_the_one_that_exports_name() -> None:
    epsilons = {module.eps for module in make_model("pre").modules() if isinstance(module, nn.LayerNorm)}
    assert epsilons == {NORM_EPSILON}


def by_hand(model: Transformer, src: Tensor, tgt_in: Tensor, layer: int) -> Tensor:
    """Return the attention of a layer from the inputs that a spy in its place sees."""
    attention = model.decoder_layers[layer - 1].cross_attention
    seen: list[Tensor] = []
    handle = attention.register_forward_pre_hook(lambda _, args: seen.extend(args))
    model.hidden(src, tgt_in)
    handle.remove()
    x, memory, mask = seen
    heads = []
    for head in range(4):
        rows = slice(4 * head, 4 * head + 4)
        queries = x @ attention.query.weight[rows].T + attention.query.bias[rows]
        keys = memory @ attention.key_value.weight[rows].T + attention.key_value.bias[rows]
        scores = queries @ keys.transpose(1, 2) / 2  # the root of E
        heads.append((scores + mask[:, 0]).softmax(-1))
    return torch.stack(heads).mean(0)


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_attention_is_the_mean_over_the_heads_of_the_layer(norm: str, layer: int) -> None:
    model = make_model(norm).eval()
    with torch.no_grad():
        weights = model.attention(SRC, TGT_IN, layer)
        torch.testing.assert_close(weights, by_hand(model, SRC, TGT_IN, layer))
    assert weights.shape == (2, 4, 3)
    assert not weights[1, :, 2].any()  # padding
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4))
    assert not model.decoder_layers[layer - 1].cross_attention._forward_pre_hooks


@pytest.mark.parametrize("precision", ["trained", "float32", "bfloat16", pytest.param("int8", marks=in_int8)])
@pytest.mark.parametrize(
    ("norm", "positions", "window"),
    [("pre", "sinusoidal", None), ("post", "sinusoidal", None), ("pre", "rotary", None), ("pre", "sinusoidal", 1)],
)
def test_the_weights_of_every_attention_are_those_of_the_pass_itself(
    norm: str, positions: str, window: int | None, precision: str
) -> None:
    model: Model = make_model(norm, positions=positions, window=window).eval()
    if precision != "trained":
        model = prepare(model, cast("InferencePrecision", precision))
    by_kind = model.attentions()
    assert {kind: len(found) for kind, found in by_kind.items()} == {"encoder": 2, "decoder": 3, "cross": 3}
    attentions = [one for found in by_kind.values() for one in found]
    calls: dict[nn.Module, tuple[tuple[Tensor, ...], Tensor]] = {}
    for one in attentions:
        one.register_forward_hook(lambda module, args, output: calls.update({module: (args, output)}))
    with torch.no_grad():
        weights = model.attention_weights(SRC, TGT_IN, attentions)
        for one, found in zip(attentions, weights, strict=True):
            *inputs, _ = calls[one][0]
            _, _, values = one.project(*inputs)
            values = values.float() if precision == "int8" else values
            context = found.to(values.dtype) @ values  # (B, H, T, E)
            if precision == "int8":
                rows = context.add_(ROUND).transpose(1, 2)
                output = one.output.int8_product.multiply(to_levels(rows, (rows[..., 0, 0].numel(), 16)))
                output = output[: rows[..., 0, 0].numel()].view(calls[one][1].shape)
            else:
                output = one.output(context.transpose(1, 2).flatten(-2))
            real = (SRC if one in by_kind["encoder"] else TGT_IN) != PAD
            torch.testing.assert_close(output[real], calls[one][1][real], rtol=0, atol=0)
    for kind, of_kind in by_kind.items():
        for one in of_kind:
            found = weights[attentions.index(one)]
            torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]), rtol=0, atol=1e-6)
            if window and kind != "cross":
                assert not found.tril(-2).any()
                assert not found.triu(2).any()
            if kind == "decoder":
                assert not found.triu(1).any()
            else:
                assert not found[1, :, :, 2].any()  # padding
            assert not one._forward_pre_hooks


def norms_by_hand(model: Model, src: Tensor, tgt_in: Tensor, attention: Attention) -> tuple[Tensor, Tensor]:
    """Return the norms of a model as it was trained, from the vectors themselves: of each head, and of their sum."""
    seen: list[Tensor] = []
    handle = attention.register_forward_pre_hook(lambda _, args: seen.extend(args))
    (weights,) = model.attention_weights(src, tgt_in, [attention])
    handle.remove()
    x = seen[0] if isinstance(attention, SelfAttention) else seen[1]
    value, bias = attention.key_value.weight.chunk(2)[1], attention.key_value.bias.chunk(2)[1]
    vectors = []
    for head in range(4):
        own = slice(4 * head, 4 * head + 4)
        transformed = (x @ value[own].T + bias[own]) @ attention.output.weight[:, own].T  # (B, S, D)
        vectors.append(torch.einsum("bts,bsd->btsd", weights[:, head], transformed))
    return torch.stack([each.norm(dim=-1) for each in vectors], 1), torch.stack(vectors).sum(0).norm(dim=-1)


TOLERANCES = {"trained": 1e-6, "float32": 1e-6, "bfloat16": 0.03, "int8": 0.1}
"""Largest differences of norms, as a part of the largest norm."""


@pytest.mark.parametrize("precision", ["trained", "float32", "bfloat16", pytest.param("int8", marks=in_int8)])
@pytest.mark.parametrize("architecture", get_args(Architecture))
def test_norms_are_those_of_the_weighted_and_transformed_vectors(architecture: str, precision: str) -> None:
    model = make_family(architecture)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)  # that of the output has no part in a norm
        by_hand = {
            kind: [norms_by_hand(model, SRC, TGT_IN, one) for one in of_kind]
            for kind, of_kind in model.attentions().items()
        }
        if precision != "trained":
            model = prepare(model, cast("InferencePrecision", precision))
        for kind, of_kind in model.attentions().items():
            for found, expected in zip(model.attention_norms(SRC, TGT_IN, of_kind), by_hand[kind], strict=True):
                for one, other in zip(found, expected, strict=True):
                    within = TOLERANCES[precision] * float(other.max())
                    torch.testing.assert_close(one, other.double(), rtol=0, atol=within)


def test_the_maps_of_a_pair_have_weights_and_norms_whose_rows_sum_to_1() -> None:
    with torch.no_grad():
        maps = make_model().eval().attention_maps(SRC[:1], TGT_IN[:1])
    shapes = {"encoder": (2, 3, 3), "decoder": (3, 4, 4), "cross": (3, 4, 3)}
    assert {kind: (len(layers), *layers[0].weights.shape[2:]) for kind, layers in maps.items()} == shapes
    for layer in [layer for layers in maps.values() for layer in layers]:
        assert layer.norms.shape == layer.weights.shape == (1, 4, *layer.layer_norms.shape[1:])
        for each in layer:
            torch.testing.assert_close(each.sum(-1), torch.ones_like(each[..., 0]))
        assert torch.equal(layer.weights > 0, layer.norms > 0)


def test_norms_are_shares_of_their_row_and_a_row_of_zeros_has_none() -> None:
    assert shares(torch.tensor([[3.0, 1.0], [0.0, 0.0]])).tolist() == [[0.75, 0.25], [0.0, 0.0]]


def test_a_batch_says_whether_its_sources_need_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    model, masked = make_model().eval(), list[bool]()
    encode = Transformer.encode

    def spy(model: Transformer, src: Tensor, mask: Tensor | None, *starts: Tensor | None) -> Tensor:
        masked.append(mask is not None)
        return encode(model, src, mask, *starts)

    monkeypatch.setattr(Transformer, "encode", spy)
    for src_padded in (True, False):
        model.loss_inputs(Batch(SRC[:1], TGT_IN[:1], LABELS[:1], torch.arange(4), src_padded=src_padded))
    assert masked == [True, False]
