"""Layers, stacks and their gradients are those of torch.nn with the same weights."""

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nmt.config.model import ModelConfig
from nmt.model.embedding import SinusoidalPositions
from nmt.model.encoder_decoder import DecoderLayer, EncoderLayer, Transformer
from nmt.model.layers import Attention, FeedForward

D, H, FFN, LAYERS = 16, 4, 24, 2
SOURCE_SIZE, TARGET_SIZE, PAD = 11, 13, 0

M = TypeVar("M", bound=nn.Module)
Pair = tuple[Tensor, Tensor, slice]
"""A parameter of ours, one of torch's, and the rows of that which are the same."""
WHOLE = slice(None)

# In float64 the two are the same function, to ten digits; in float32 nothing but rounding parts them.
precisions = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 3e-5)], ids=["float64", "float32"]
)
norms = pytest.mark.parametrize("norm", ["post", "pre"])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def config(**values: Any) -> ModelConfig:
    shape = {"d_model": D, "heads": H, "ffn": FFN, "encoder_layers": LAYERS, "decoder_layers": LAYERS}
    return ModelConfig(**{**shape, "dropout": 0.0, "max_length": 16, **values})


def scrambled(module: M, dtype: torch.dtype) -> M:
    """Draw every parameter anew, biases and norms too, so that none is 0 or 1 by accident."""
    torch.manual_seed(5)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.to(dtype).train()


def draw(*shape: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def real(*lengths: int) -> Tensor:
    """Return the mask (B, 1, 1, S) of rows with so many real positions."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None])[:, None, None]


def module_pairs(ours: Any, theirs: Any) -> list[Pair]:
    return [(getattr(ours, name), parameter, WHOLE) for name, parameter in theirs.named_parameters()]


def attention_pairs(ours: Attention, theirs: nn.MultiheadAttention) -> list[Pair]:
    first, others = slice(0, D), slice(D, 3 * D)
    weight, bias = theirs.in_proj_weight, theirs.in_proj_bias
    return [
        (ours.query.weight, weight, first),
        (ours.query.bias, bias, first),
        (ours.key_value.weight, weight, others),
        (ours.key_value.bias, bias, others),
        *module_pairs(ours.output, theirs.out_proj),
    ]


def feed_forward_pairs(ours: FeedForward, theirs: Any) -> list[Pair]:
    return [*module_pairs(ours.inner, theirs.linear1), *module_pairs(ours.outer, theirs.linear2)]


def encoder_layer_pairs(ours: Any, theirs: Any) -> list[Pair]:
    return [
        *attention_pairs(ours.self_attention, theirs.self_attn),
        *module_pairs(ours.self_attention_norm, theirs.norm1),
        *feed_forward_pairs(ours.feed_forward, theirs),
        *module_pairs(ours.feed_forward_norm, theirs.norm2),
    ]


def decoder_layer_pairs(ours: Any, theirs: Any) -> list[Pair]:
    return [
        *attention_pairs(ours.self_attention, theirs.self_attn),
        *module_pairs(ours.self_attention_norm, theirs.norm1),
        *attention_pairs(ours.cross_attention, theirs.multihead_attn),
        *module_pairs(ours.cross_attention_norm, theirs.norm2),
        *feed_forward_pairs(ours.feed_forward, theirs),
        *module_pairs(ours.feed_forward_norm, theirs.norm3),
    ]


@torch.no_grad()
def copy_over(pairs: list[Pair], theirs: nn.Module, dtype: torch.dtype) -> None:
    """Give `theirs` our weights; no parameter of it may be left over."""
    theirs.to(dtype)
    assert sum(mine.numel() for mine, _, _ in pairs) == sum(p.numel() for p in theirs.parameters())
    for mine, other, rows in pairs:
        other[rows].copy_(mine)


def assert_same_gradients(pairs: list[Pair], tolerance: float) -> None:
    for mine, other, rows in pairs:
        assert mine.grad is not None
        assert other.grad is not None
        # Relative to the largest: a key bias has no influence, so its gradient is nothing but rounding.
        scale = float(other.grad.abs().max()) + 1
        assert_close(mine.grad / scale, other.grad[rows] / scale, rtol=0, atol=tolerance)


def backward(output: Tensor) -> None:
    """Send back a different gradient to each element, so that none cancels."""
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).sin()
    (output.flatten() * weights).sum().backward()


def input_pairs(inputs: tuple[Tensor, ...], copies: tuple[Tensor, ...]) -> list[Pair]:
    return [(mine, other, WHOLE) for mine, other in zip(inputs, copies, strict=True)]


def twins(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)


@precisions
@pytest.mark.parametrize("mask", ["none", "padding", "causal"])
def test_attention_and_its_gradients_are_those_of_torch(mask: str, dtype: torch.dtype, tolerance: float) -> None:
    ours, theirs = scrambled(Attention(config()), dtype), nn.MultiheadAttention(D, H, batch_first=True)
    pairs = attention_pairs(ours, theirs)
    copy_over(pairs, theirs, dtype)
    x, memory = draw(3, 5, D, dtype=dtype), draw(3, 5 if mask == "causal" else 7, D, dtype=dtype)
    query, key = twins(x, memory)
    padding, causal = real(7, 4, 1), torch.ones(5, 5, dtype=torch.bool).tril()
    allowed = {"none": None, "padding": padding, "causal": causal}[mask]
    mine = ours(x, memory, allowed)
    # torch's masks are True where attention is forbidden.
    other, _ = theirs(
        query,
        key,
        key,
        need_weights=False,
        key_padding_mask=~padding[:, 0, 0] if mask == "padding" else None,
        attn_mask=~causal if mask == "causal" else None,
    )
    assert_close(mine, other, rtol=tolerance, atol=tolerance)
    backward(mine)
    backward(other)
    assert_same_gradients([*pairs, *input_pairs((x, memory), (query, key))], tolerance)


@precisions
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "swiglu"])
def test_feed_forward_is_equation_2_of_the_paper_with_the_activation(
    activation: str, dtype: torch.dtype, tolerance: float
) -> None:
    ours = scrambled(FeedForward(config(activation=activation)), dtype)
    x = draw(2, 5, D, dtype=dtype)
    inner, outer, gate = x @ ours.inner.weight.T + ours.inner.bias, ours.outer, ours.gate or ours.inner
    gated = x @ gate.weight.T + gate.bias
    hidden = {
        "relu": inner.clamp(min=0),
        "gelu": inner / 2 * (1 + (inner / math.sqrt(2)).erf()),  # Hendrycks & Gimpel 2016, section 2
        "silu": inner / (1 + (-inner).exp()),
        "swiglu": gated / (1 + (-gated).exp()) * inner,  # Shazeer 2020, eq. 5
    }[activation]
    assert (gate is not ours.inner) == (activation == "swiglu")
    assert_close(ours(x), hidden @ outer.weight.T + outer.bias, rtol=tolerance, atol=tolerance)


@precisions
@norms
def test_the_encoder_layer_and_its_gradients_are_those_of_torch(
    norm: str, dtype: torch.dtype, tolerance: float
) -> None:
    ours = scrambled(EncoderLayer(config(norm=norm)), dtype)
    theirs = nn.TransformerEncoderLayer(D, H, FFN, dropout=0.0, batch_first=True, norm_first=norm == "pre")
    pairs = encoder_layer_pairs(ours, theirs)
    copy_over(pairs, theirs, dtype)
    x, mask = draw(3, 6, D, dtype=dtype), real(6, 2, 5)
    (copy,) = twins(x)
    mine, other = ours(x, mask), theirs(copy, src_key_padding_mask=~mask[:, 0, 0])
    assert_close(mine, other, rtol=tolerance, atol=tolerance)
    backward(mine)
    backward(other)
    assert_same_gradients([*pairs, *input_pairs((x,), (copy,))], tolerance)


@precisions
@norms
def test_the_decoder_layer_and_its_gradients_are_those_of_torch(
    norm: str, dtype: torch.dtype, tolerance: float
) -> None:
    ours = scrambled(DecoderLayer(config(norm=norm)), dtype)
    theirs = nn.TransformerDecoderLayer(D, H, FFN, dropout=0.0, batch_first=True, norm_first=norm == "pre")
    pairs = decoder_layer_pairs(ours, theirs)
    copy_over(pairs, theirs, dtype)
    x, memory, mask = draw(3, 4, D, dtype=dtype), draw(3, 6, D, dtype=dtype), real(6, 2, 5)
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    copies = twins(x, memory)
    mine = ours(x, memory, causal, mask)
    other = theirs(*copies, tgt_mask=~causal, memory_key_padding_mask=~mask[:, 0, 0])
    assert_close(mine, other, rtol=tolerance, atol=tolerance)
    backward(mine)
    backward(other)
    assert_same_gradients([*pairs, *input_pairs((x, memory), copies)], tolerance)


class Reference(nn.Module):
    """The same model made of torch's stacks.

    Not of nn.Transformer, which appends final norms that the paper has not.
    """

    def __init__(self, settings: ModelConfig) -> None:
        super().__init__()
        pre = settings.norm == "pre"
        shape: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "norm_first": pre}
        encoder_layer = nn.TransformerEncoderLayer(D, H, FFN, **shape)
        decoder_layer = nn.TransformerDecoderLayer(D, H, FFN, **shape)
        norms = [nn.LayerNorm(D) if pre else None for _ in range(2)]
        self.encoder = nn.TransformerEncoder(encoder_layer, LAYERS, norm=norms[0], enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder_layer, LAYERS, norm=norms[1])
        self.target_embedding = nn.Embedding(TARGET_SIZE, D)
        tied = settings.tied_embeddings
        self.source_embedding = self.target_embedding if tied == "all" else nn.Embedding(SOURCE_SIZE, D)
        self.generator = nn.Linear(D, TARGET_SIZE, bias=False)
        if tied != "none":
            self.generator.weight = self.target_embedding.weight
        self.learned = nn.Parameter(torch.zeros(32, D)) if settings.positions == "learned" else None

    def positions(self, length: int) -> Tensor:
        return positions_of_the_paper(length) if self.learned is None else self.learned[:length]

    def embed(self, ids: Tensor, embedding: nn.Embedding) -> Tensor:
        return embedding(ids) * D**0.5 + self.positions(ids.size(1)).to(embedding.weight.dtype)

    def forward(self, src: Tensor, tgt_in: Tensor) -> Tensor:
        ignored = src == PAD
        memory = self.encoder(self.embed(src, self.source_embedding), src_key_padding_mask=ignored)
        length = tgt_in.size(1)
        hidden = self.decoder(
            self.embed(tgt_in, self.target_embedding),
            memory,
            tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1),
            tgt_key_padding_mask=tgt_in == PAD,
            memory_key_padding_mask=ignored,
        )
        return self.generator(hidden)

    def pairs(self, ours: Transformer) -> Iterator[Pair]:
        for mine, other in zip(ours.encoder, self.encoder.layers, strict=True):
            yield from encoder_layer_pairs(mine, other)
        for mine, other in zip(ours.decoder, self.decoder.layers, strict=True):
            yield from decoder_layer_pairs(mine, other)
        yield from module_pairs(ours.encoder_norm, self.encoder.norm or nn.Identity())
        yield from module_pairs(ours.decoder_norm, self.decoder.norm or nn.Identity())
        yield from module_pairs(ours.target_embedding, self.target_embedding)
        if self.source_embedding is not self.target_embedding:
            yield from module_pairs(ours.source_embedding, self.source_embedding)
        if self.generator.weight is not self.target_embedding.weight:
            yield from module_pairs(ours.generator, self.generator)
        if self.learned is not None:
            yield ours.get_parameter("positions.table"), self.learned, WHOLE


def positions_of_the_paper(length: int) -> Tensor:
    """Compute section 3.5 element by element: sin and cos of pos / 10000^(2i / d)."""
    rows = [
        [
            math.cos(place / 10_000 ** ((column - 1) / D)) if column % 2 else math.sin(place / 10_000 ** (column / D))
            for column in range(D)
        ]
        for place in range(length)
    ]
    return torch.tensor(rows, dtype=torch.float64).float()


@precisions
@norms
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("tied", ["all", "target", "none"])
def test_the_whole_model_and_its_gradients_are_those_of_torch_stacks(
    norm: str, positions: str, tied: str, dtype: torch.dtype, tolerance: float
) -> None:
    settings = config(norm=norm, positions=positions, tied_embeddings=tied)
    ours = scrambled(Transformer(settings, SOURCE_SIZE, TARGET_SIZE, pad_id=PAD), dtype)
    theirs = Reference(settings).train()
    pairs = list(theirs.pairs(ours))
    copy_over(pairs, theirs, dtype)
    assert len({id(mine) for mine, _, _ in pairs}) == len(list(ours.parameters()))

    src = torch.tensor([[4, 5, 6, 7, 8, 3], [9, 10, 3, 0, 0, 0], [3, 0, 0, 0, 0, 0]])
    tgt_in = torch.tensor([[2, 9, 4, 0, 0], [2, 7, 7, 12, 11], [2, 0, 0, 0, 0]])
    where = tgt_in != PAD
    mine, other = ours(src, tgt_in)[where], theirs(src, tgt_in)[where]
    scale = other.detach().abs().max()
    assert_close(mine / scale, other / scale, rtol=0, atol=tolerance)
    backward(mine)
    backward(other)
    assert_same_gradients(pairs, tolerance)


def test_positions_are_the_sines_and_cosines_of_section_3_5() -> None:
    positions = SinusoidalPositions(500, D)
    # One unit in the last place of float32: the angles are computed in float64.
    assert_close(positions(0, 500), positions_of_the_paper(500), rtol=0, atol=6e-8)
    assert_close(positions(7, 3), positions_of_the_paper(10)[7:], rtol=0, atol=6e-8)


def test_embeddings_are_scaled_by_the_square_root_of_the_width_before_positions_are_added() -> None:
    model = scrambled(Transformer(config(), SOURCE_SIZE, TARGET_SIZE, pad_id=PAD), torch.float32)
    ids = torch.tensor([[4, 9, 3]])
    expected = 4.0 * model.target_embedding.weight[ids] + positions_of_the_paper(3)
    assert_close(model.embed(model.target_embedding(ids), model.positions(0, 3)), (expected, None))
    assert_close(model.embed(model.target_embedding(ids[:, 2:]), model.positions(2, 1)), (expected[:, 2:], None))
