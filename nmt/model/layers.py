"""The layers that all model families share.

Shapes: `B` sentences, `S` source length, `T` target length, `D` model width, `H` heads, `E` width of a head, by default
D/H, `F` feed-forward width, `V` vocabulary, `K` beam size, `N` rows or packed tokens. Batch first, right padding. Masks
are True where attention is allowed.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config.model import ModelConfig
from nmt.model import int8, windows

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this PyTorch has the operator, which it keeps for compiled models."""


def is_intel() -> bool:
    """Return whether Linux says that the processor is one of Intel's, whose library MKL is slow on others."""
    with suppress(OSError):
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return False


ONEDNN_TYPES = {torch.bfloat16} if is_intel() else {torch.bfloat16, torch.float32}
"""The types in which oneDNN is the fastest for products with weights that are laid out for inference."""
ALIGNMENT = 8  # elements at whose multiples the rows of a mask begin; a GPU's kernel would copy any other mask
VECTOR = 16  # float32 numbers in the widest vectors of a CPU
NORM_EPSILON = 1e-5  # added to the variance by every LayerNorm; torch's default


def prepare_mask(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert `mask`, True where attention is allowed, to the numbers to add to the scores, once for all layers.

    The kernels of a GPU add them in the `dtype` of the model, a CPU in float32.
    """
    if mask.dtype != torch.bool:
        return mask
    if mask.is_cuda:
        length = mask.size(-1)
        room = -(-length // ALIGNMENT) * ALIGNMENT
        added = torch.zeros(*mask.shape[:-1], room, dtype=dtype, device=mask.device)[..., :length]
        return added.masked_fill_(~mask, -torch.inf)
    return torch.where(mask, 0.0, -torch.inf)


def causal_mask(ids: Tensor, window: int | None = None) -> Tensor | None:
    """Return the mask (T, T) that hides later positions of `ids` (B, T), by `prepare_mask`.

    None on a GPU, whose kernel hides them by itself, and does not even compute their scores; and where a `window` is
    shorter than the sequence, see `SelfAttention`.
    """
    length = ids.size(1)
    if ids.is_cuda or is_wider(length, window):
        return None
    return prepare_mask(torch.ones(length, length, dtype=torch.bool).tril())


def is_wider(length: int, window: int | None) -> bool:
    """Return whether a sequence of `length` positions has some that a `window` hides from each other."""
    return window is not None and length > window + 1


def softmax(scores: Tensor) -> Tensor:
    """Return the softmax of `scores` (..., S) over S.

    On a CPU torch computes rows shorter than a vector number by number, 15 times as slowly as padded ones.
    """
    size = scores.size(-1)
    if size >= VECTOR:
        return scores.softmax(-1)
    return F.pad(scores, (0, VECTOR - size), value=-torch.inf).softmax(-1)[..., :size]


def linear_weights(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return the `scores` (..., S) of the attended positions, divided by their number, and 0 of the others.

    This is attention without an exponential (von Oswald et al. 2023, section 2), with a mean in place of the sum:
    the weights may be negative, and their sum is not 1. `mask` broadcasts to the scores, see `prepare_mask`.
    """
    if mask is None:
        return scores / scores.size(-1)
    allowed = mask if mask.dtype == torch.bool else mask == 0
    return scores.where(allowed, 0) / allowed.sum(-1, keepdim=True).clamp_min(1)  # padding may see nothing


class Linear(nn.Linear):
    """A linear map, whose weight can be laid out for inference on a CPU."""

    packed: Tensor | None = None  # the weight in oneDNN's layout
    product: int8.Int8Product | None = None

    def pack(self) -> None:
        """Lay out the weight for inference; do nothing on a GPU. An embedding that shares it keeps its own.

        As it is trained, oneDNN arranges the whole weight anew at each call, and MKL takes three times as long for the
        product of a few rows.
        """
        weight = self.weight.detach()
        if weight.is_cuda:
            return
        if HAS_ONEDNN and weight.dtype in ONEDNN_TYPES:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
            self.register_parameter("weight", None)
        else:
            self.weight = nn.Parameter(weight.t().contiguous().t(), requires_grad=False)  # columns in sequence

    def quantize(self, output_scales: Tensor | None = None, *, relu: bool = False, zero: int = int8.ZERO) -> None:
        """Replace the weight, 8-bit levels with `scales`, by the product with it; see `Int8Product`."""
        levels, scales, input_scale = (
            self.get_parameter(name).detach() for name in ("weight", "scales", "input_scale")
        )
        bias = None if self.bias is None else self.bias.detach()
        self.product = int8.Int8Product(levels, scales, bias, input_scale.item(), output_scales, relu=relu, zero=zero)
        for name in ("weight", "scales", "input_scale", "bias"):
            self.register_parameter(name, None)

    @property
    def int8_product(self) -> int8.Int8Product:
        """The product after `quantize`."""
        assert self.product is not None
        return self.product

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x) if self.product is not None else self.multiply(x, self.bias)

    def multiply(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Return the product of `x` with the weight, which is not in int8, plus `bias`."""
        if self.packed is not None:
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, bias, "none", [], "")
        return F.linear(x, self.weight, bias)


def draw(name: str, parameter: Tensor) -> None:
    """Draw a matrix of a layer by Xavier's uniform rule; a bias is 0."""
    if name.endswith("bias"):
        nn.init.zeros_(parameter)
    elif name.endswith("key_value.weight"):  # two matrices in one: each has the bound of its own shape
        for half in parameter.chunk(2):
            nn.init.xavier_uniform_(half)
    else:
        nn.init.xavier_uniform_(parameter)


def fused(parts: list[Linear]) -> Linear:
    """Return one map for inference in place of `parts`, which have the same input: their outputs, one after another."""
    whole = Linear(parts[0].in_features, sum(part.out_features for part in parts))
    for name, _ in parts[0].named_parameters():  # in int8 the scales of the weight, too
        parameter = torch.cat([part.get_parameter(name).detach() for part in parts])
        if name == "input_scale":  # one, of the same input
            parameter = parameter[:1]
        setattr(whole, name, nn.Parameter(parameter, requires_grad=False))
    return whole


class Residual(nn.Module):
    """A layer made of sub-layers, each with dropout, a residual sum and a norm (section 3.1, 5.4)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.dropout = Dropout(config.dropout)

    def norms(self) -> list[tuple[nn.LayerNorm, Linear]]:
        """Return each norm with the linear map that alone reads its output where norms come before sub-layers."""
        raise NotImplementedError

    def residual(self, x: Tensor, norm: nn.LayerNorm, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Add the output of `sublayer` to `x`, with `norm` before or after."""
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (section 3.2), or the same without softmax, see `linear_weights`."""

    window: int | None = None  # `model.attention_window` of a self-attention

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.size = config.heads, config.width_of_heads
        inner = self.heads * self.size
        self.scale: float | Tensor = self.size**-0.5  # in int8 a tensor (H, 1, 1)
        self.query = Linear(config.d_model, inner)
        self.key_value = Linear(config.d_model, 2 * inner)
        self.output = Linear(inner, config.d_model)
        self.dropout = Dropout(config.attention_dropout)
        self.is_linear = config.attention_kernel == "linear"

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from each position of `x` (B, T, D) over `memory` (B, S, D), masked as in `attend`."""
        queries, keys, values = self.project(x, memory)
        return self.attend(queries, keys, values, mask)

    def project(self, x: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Project `x` (B, T, D) to queries and `memory` (B, S, D) to keys and values, each (B, H, T or S, E)."""
        return self.queries(x), *self.keys_and_values(memory)

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the n tensors of heads, each (B, H, T, E), in `x` (B, T, n * H * E)."""
        return x.view(*x.shape[:2], -1, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind()

    def queries(self, x: Tensor) -> Tensor:
        """Project `x` (B, T, D) to queries (B, H, T, E)."""
        return self.query(x).view(*x.shape[:2], self.heads, self.size).transpose(1, 2)

    def keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Project `memory` (B, S, D) to keys and values, each (B, H, S, E)."""
        keys, values = self.split(self.key_value(memory))
        return keys, values

    def weights(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """Return the weights (B, H, T, S), at least in float32, of the values in the sum that `attend` takes."""
        if isinstance(self.scale, Tensor):
            scores = int8.scores(queries, keys, self.scale)
            shares = int8.shares(scores if mask is None else scores.add_(prepare_mask(mask)))
            return shares / shares.sum(-1, keepdim=True)
        exact = torch.promote_types(queries.dtype, torch.float32)
        scores = (queries @ keys.transpose(-2, -1)).to(exact).mul_(self.scale)
        if self.is_linear:
            return linear_weights(scores, mask)
        return softmax(scores if mask is None else scores.add_(prepare_mask(mask)))

    def log_weights(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Return the logarithms (B, T, S), in float32, of the weights of the first head, for guided attention.

        `x`, `memory` and `mask` are as in `forward`, but nothing is dropped.
        """

        def project(part: Linear, x: Tensor) -> Tensor:
            return F.linear(x, part.weight[: self.size], None if part.bias is None else part.bias[: self.size])

        scores = (project(self.query, x) @ project(self.key_value, memory).transpose(1, 2)).float() * self.scale
        return (scores if mask is None else scores + prepare_mask(mask)[:, 0]).log_softmax(-1)

    def norms(self, weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the norms of what each position adds to the output: by head (B, H, T, S), and of the sum (B, T, S).

        A head adds the vectors weight * f(x) with f(x) = (x W_V + b_V) W_O, for its `weights` (B, H, T, S), `values`
        (B, H, S, E) and rows of W_O (Kobayashi et al. 2020, section 3). The sum is that of the vectors of all heads.
        """
        if isinstance(self.scale, Tensor):
            vectors = int8.parts(values, self.output.int8_product)
        else:
            vectors = self.output.multiply(int8.apart(values), None)
        weights, vectors = weights.double(), vectors.double()  # (B, H, T, S), (B, H, S, D)
        # The norm of a sum by the products of its vectors: the sums themselves would be (B, T, S, D).
        products = vectors.transpose(1, 2) @ vectors.permute(0, 2, 3, 1)  # (B, S, H, H)
        by_position = weights.permute(0, 3, 2, 1)  # (B, S, T, H)
        squares = ((by_position @ products) * by_position).sum(-1)  # (B, S, T)
        return weights.abs() * vectors.norm(dim=-1)[:, :, None], squares.clamp_min(0).sqrt().transpose(1, 2)

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, is_causal: bool = False
    ) -> Tensor:
        """Attend from `queries` (B, H, T, E) over `keys` and `values` (B, H, S, E); return (B, T, D).

        `mask` broadcasts to (B, H, T, S): True where attention is allowed, or by `prepare_mask`. With `is_causal` it
        is `causal_mask`.
        """
        if isinstance(self.scale, Tensor):
            mask = None if mask is None else prepare_mask(mask)
            return int8.attend(queries, keys, values, mask, self.scale, self.output.int8_product)
        if queries.is_cuda and not self.is_linear:
            dropout = self.dropout.p if self.training else 0.0
            context = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, dropout_p=dropout, is_causal=is_causal
            )
        else:
            if is_causal and mask is None:  # on a GPU, whose kernel needs none
                mask = queries.new_ones(queries.size(2), keys.size(2), dtype=torch.bool).tril()
            # Sentences are short: on a CPU two batched products beat the fused kernel, whose backward is slow, and
            # softmax is faster in float32 than in bfloat16.
            weights = self.weights(queries, keys, mask).to(values.dtype)
            context = self.dropout(weights) @ values  # (B, H, T, E)
        return self.output(context.transpose(1, 2).flatten(-2))  # (B, T, D)

    def projections(self) -> list[Linear]:
        """Return the maps to queries, keys and values, in this order."""
        return [self.query, self.key_value]

    def quantize(self) -> None:
        """Replace the weights by products; queries, keys and values are levels."""
        scales = self.get_parameter("scales").detach()  # (2, H) of queries and keys
        value_scales = self.output.get_parameter("input_scale").detach().expand(self.heads)
        parts = self.projections()
        sizes = [part.out_features // self.size for part in parts]
        for part, of_part in zip(parts, torch.cat([*scales, value_scales]).split(sizes), strict=True):
            part.quantize(of_part.repeat_interleave(self.size))
        self.output.quantize()
        self.scale = (self.scale * scales.prod(0)).view(-1, 1, 1)
        self.register_parameter("scales", None)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotate pairs of numbers of `x` (..., T, E) by the angles of `positions` (..., T, E) (Su et al. 2021, eq. 34).

    These have the sine and the cosine of each pair's angle in its place.
    """
    sines, cosines = positions.unflatten(-1, (-1, 2)).unbind(-1)  # (..., T, E/2)
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    rotated = torch.stack([first * cosines - second * sines, second * cosines + first * sines], -1)
    return rotated.flatten(-2).to(x.dtype)


class SelfAttention(Attention):
    """Attention of a sequence over itself; `rotation` are the positions by which `rotate` turns queries and keys."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.query_key_value: Linear | None = None
        self.window = config.attention_window

    def forward(self, x: Tensor, rotation: Tensor | None, mask: Tensor | None, *, is_causal: bool = False) -> Tensor:
        """Attend from each position of `x` (B, T, D) over all of them, or over those in its window.

        `mask` is as in `attend`; where a window hides positions, it is (B, 1, 1, T), of the padding alone, or None.
        """
        queries, keys, values = self.project(x, rotation)
        length = x.size(1)
        if self.window is None or not is_wider(length, self.window):
            return self.attend(queries, keys, values, mask, is_causal=is_causal)
        blocks = windows.divide(length, self.window, is_causal=is_causal)
        parts = blocks.queries(queries), blocks.keys(keys), blocks.keys(values)
        return blocks.joined(self.attend(*parts, self.window_mask(blocks, queries, mask)))

    def window_mask(self, blocks: windows.Blocks, queries: Tensor, mask: Tensor | None) -> Tensor:
        """Return the mask (B * blocks, 1, size, keys) of `blocks` of `queries` (B, H, T, E), with `mask` of padding."""
        padding = queries.new_zeros(len(queries), 1, 1, blocks.length, dtype=torch.float32) if mask is None else mask
        padding = prepare_mask(padding, queries.dtype).clamp_min(windows.HIDDEN).transpose(2, 3)
        hidden = blocks.keys(padding, windows.HIDDEN).transpose(2, 3)  # (B * blocks, 1, 1, keys)
        allowed = blocks.allowed(queries.device).expand(len(hidden), 1, -1, -1)
        return prepare_mask(allowed, queries.dtype).add_(hidden)

    def whole_mask(self, queries: Tensor, mask: Tensor | None, *, is_causal: bool = False) -> Tensor | None:
        """Return the mask of all of `queries` (B, H, T, E) for `weights`, where `forward` takes `mask`."""
        length = queries.size(2)
        if self.window is not None and is_wider(length, self.window):
            return self.window_mask(windows.whole(length, self.window, is_causal=is_causal), queries, mask)
        if mask is None and is_causal:
            return queries.new_ones(length, length, dtype=torch.bool).tril()
        return mask

    def project(self, x: Tensor, rotation: Tensor | None) -> tuple[Tensor, ...]:
        """Project `x` (B, T, D) to queries, keys and values, each (B, H, T, E)."""
        if self.query_key_value is None:
            queries, keys, values = self.queries(x), *self.keys_and_values(x)
        else:
            queries, keys, values = self.split(self.query_key_value(x))
        if rotation is None:
            return queries, keys, values
        if isinstance(self.scale, Tensor):  # levels, rounded again: products of whole numbers are exact
            queries, keys = (
                rotate(int8.to_float(levels) - int8.ZERO, rotation).round_().add_(int8.ZERO)
                for levels in (queries, keys)
            )
        else:
            queries, keys = rotate(queries, rotation), rotate(keys, rotation)
        return queries, keys, values

    def projections(self) -> list[Linear]:
        """Return the maps to queries, keys and values, in this order."""
        return super().projections() if self.query_key_value is None else [self.query_key_value]

    def fuse(self) -> None:
        """Replace the maps to queries, keys and values by one, for inference."""
        self.query_key_value = fused(self.projections())
        del self.query, self.key_value


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "swiglu": F.silu}


class FeedForward(nn.Module):
    """Two linear maps with an activation between (section 3.3, eq. 2).

    In SwiGLU the SiLU of one map, the gate, is multiplied by another (Shazeer 2020, eq. 6).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation, self.is_gated = ACTIVATIONS[config.activation], config.activation == "swiglu"
        self.gate = Linear(config.d_model, config.ffn) if self.is_gated else None
        self.inner = Linear(config.d_model, config.ffn)
        self.outer = Linear(config.ffn, config.d_model)
        self.dropout = Dropout(config.activation_dropout)

    @property
    def is_unsigned(self) -> bool:
        """Whether the outer map gets no negative number."""
        return self.activation is F.relu

    def forward(self, x: Tensor) -> Tensor:
        if self.inner.product is not None and self.is_unsigned:
            return int8.feed_forward(x, self.inner.product, self.outer.int8_product)
        if not self.is_gated:
            return self.outer(self.dropout(self.activation(self.inner(x))))
        gate, inner = self.inner(x).chunk(2, -1) if self.gate is None else (self.gate(x), self.inner(x))
        return self.outer(self.dropout(self.activation(gate) * inner))

    def fuse(self) -> None:
        """Replace the gate and the inner map by one, for inference."""
        if self.gate is not None:
            self.inner, self.gate = fused([self.gate, self.inner]), None

    def quantize(self) -> None:
        """Replace the weights by products, after ReLU with unsigned levels between."""
        if self.is_unsigned:
            self.inner.quantize(self.outer.get_parameter("input_scale").detach(), relu=True)
            self.outer.quantize(zero=0)
        else:
            self.inner.quantize()
            self.outer.quantize()
            self.activation = int8.GatedByTable(self.activation)


class Dropout(nn.Module):
    """Zero each element with probability `p`, scale the others by 1/(1-p) (Srivastava et al. 2014)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.is_cuda:
            return F.dropout(x, self.p)
        return x * self.mask(x)

    def mask(self, x: Tensor) -> Tensor:
        """Return the factors, 0 or 1/(1-p), for `x`.

        Each takes 16 bits of a 64-bit random word: four elements a draw, where torch's own Bernoulli on a CPU
        takes one draw an element. The rate is `p` to within 2^-17.
        """
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        threshold = min(round(self.p * 2**16), 2**16 - 1) - 2**15  # beyond int16 the comparison would wrap around
        # Compare straight into the type of `x`: torch converts booleans to bfloat16 slowly.
        return torch.ge(bits, threshold, out=torch.empty_like(x)).mul_(1 / (1 - self.p))
