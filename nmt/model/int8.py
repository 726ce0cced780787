"""Products in small integers on a CPU: of rows with weights in 8 bits, and of attention.

The scales are fixed when the model is loaded, and sums of integers are exact in any order, so that a row has the same
result alone, in any batch, in search and in scoring. Shapes as in `nmt.model.layers`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

LARGEST = 127  # magnitude of an 8-bit level
UNSIGNED = 255  # largest unsigned level
ZERO = 128  # the unsigned level that stands for 0: oneDNN has fast kernels for unsigned rows alone
TINY = 1e-30  # in place of the largest magnitude of zeros
STEPS, REACH = 256, 8  # entries a unit of an activation's table, and the largest magnitude that has one
SHARES = 2**9  # levels of the largest share of attention
LEAST = -1.0  # exp(-1) is rounded to no share; exp is slow where it comes near 0
EXACT = 2**24  # float32 holds all integers up to this
ROUND = 1.5 * 2**23  # float32 has no fractions here: to add it rounds, and the last byte is the rounded number


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 8-bit levels of `x` (N, K), in float32, and the scales (N, 1) of its rows."""
    largest = x.abs().amax(-1, keepdim=True).clamp_min_(TINY)
    return (x * (LARGEST / largest)).round_(), largest * (1 / LARGEST)


def padded(rows: int) -> int:
    """Return the number of rows, at least `rows`, to compute: of few numbers, for oneDNN makes new code for each."""
    if rows <= 8:
        return rows
    multiple = max(1 << (rows - 1).bit_length(), 32) // 8  # 12, ... 32, 40, ... 64, 80, ...
    return -(-rows // multiple) * multiple


def to_levels(rounded: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the last bytes of `rounded`, numbers beyond ROUND, in the `shape` (R, K) of rows, which are padded."""
    levels = torch.empty(padded(shape[0]), shape[1], dtype=torch.uint8)
    levels[: shape[0]].view(rounded.shape).copy_(rounded.view(torch.int32))
    return levels


class Int8Product:
    """The product of rows with one quantized weight."""

    def __init__(
        self,
        levels: Tensor,
        scales: Tensor,
        bias: Tensor | None,
        input_scale: float,
        output_scales: Tensor | None = None,
        *,
        relu: bool = False,
        zero: int = ZERO,
    ) -> None:
        """Take the `levels` (N, K) of a weight, a row an output channel, and the `scales` (N) of its rows.

        The rows are whole numbers of `input_scale`, with `zero` as the level of 0. With `output_scales` (N) the results
        are unsigned levels of them: of 0 is ZERO, or with `relu`, which is applied, 0.
        """
        self.weight = torch.ops.onednn.qlinear_prepack(levels.to(torch.int8), None)
        self.scales, self.bias = scales * input_scale, bias
        self.input_scale: float | None = input_scale  # None where a norm applies it
        if output_scales is not None:
            self.scales = self.scales / output_scales
            self.bias = None if bias is None else bias / output_scales
        self.zeros = torch.zeros(len(levels), dtype=torch.int32)
        self.zero, self.post = zero, "relu" if relu else "none"
        self.type = torch.float32 if output_scales is None else torch.uint8
        self.output_zero = 0 if relu or output_scales is None else ZERO

    def __call__(self, x: Tensor) -> Tensor:
        """Return (..., N), float32 or levels, of `x` (..., K) in float32."""
        rows = x.flatten(0, -2)
        return self.multiply(self.quantize(rows))[: len(rows)].view(*x.shape[:-1], -1)

    def quantize(self, rows: Tensor) -> Tensor:
        """Return the levels of `rows` (R, K), which are overwritten where a norm made them."""
        rounded = rows if self.input_scale is None else (rows * (1 / self.input_scale)).add_(ROUND + ZERO)
        rounded.clamp_(ROUND + ZERO - LARGEST, ROUND + ZERO + LARGEST)
        return to_levels(rounded, (len(rows), rows.size(1)))

    def fold(self, norm: nn.LayerNorm) -> None:
        """Let `norm`, whose output goes nowhere else, compute the rounded rows."""
        if self.input_scale is not None:
            norm.weight.div_(self.input_scale)
            norm.bias.div_(self.input_scale).add_(ROUND + ZERO)
            self.input_scale = None

    def multiply(self, levels: Tensor) -> Tensor:
        """Return the products (R, N) of `levels` (R, K)."""
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            levels,
            1.0,
            self.zero,
            self.weight,
            self.scales,
            self.zeros,
            self.bias,
            1.0,
            self.output_zero,
            self.type,
            self.post,
            [],
            "",
        )
        return result


def feed_forward(x: Tensor, inner: Int8Product, outer: Int8Product) -> Tensor:
    """Return (..., D) of `x` (..., D) by two products, with levels between."""
    rows = x.flatten(0, -2)
    return outer.multiply(inner.multiply(inner.quantize(rows)))[: len(rows)].view(x.shape)


class GatedByTable:
    """An activation x g(x), with g from a table: torch computes the last bits of a number by its place in a tensor."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        """Take an `activation` whose g goes from 0 to 1: x itself is 0 at the first entry, and 1 at the last."""
        x = torch.arange(-REACH * STEPS, REACH * STEPS).double() / STEPS
        self.factors = torch.where(x == 0, 0.5, activation(x) / x).float()
        self.factors[0], self.factors[-1] = 0.0, 1.0

    def __call__(self, x: Tensor) -> Tensor:
        count = len(self.factors)
        rounded = (x * STEPS).add_(ROUND + count // 2).clamp_(ROUND, ROUND + count - 1)
        places = rounded.view(torch.int32).bitwise_and_(count - 1)  # of what is no number, too
        return self.factors.index_select(0, places.flatten()).view(x.shape).mul_(x)


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: Tensor, output: Int8Product
) -> Tensor:
    """Return the `output` (B, T, D) of attention from `queries` (B, H, T, E) over `keys`, `values` (B, H, S, E).

    All three are levels, of which any may be in float32 already, see `scores`. `mask` broadcasts to
    (B, H, T, S), 0 or minus infinity, and `scale` (H, 1, 1) is of products of the levels of queries and keys.
    """
    batch, heads, length, size = queries.shape
    weights = scores(queries, keys, scale)
    if mask is not None:
        weights.add_(mask)
    context = mean(weights, to_float(values)).add_(ROUND).transpose(1, 2)
    rows = batch * length
    return output.multiply(to_levels(context, (rows, heads * size)))[:rows].view(batch, length, -1)


def parts(values: Tensor, output: Int8Product) -> Tensor:
    """Return the part of each head in `output` without its bias, (B, H, S, D), for `values` (B, H, S, E), levels."""
    contexts = apart(to_float(values) - ZERO).add_(ROUND + ZERO)
    rows = contexts.flatten(0, -2)
    products = output.multiply(to_levels(rows, (len(rows), rows.size(1))))[: len(rows)]
    return (products if output.bias is None else products - output.bias).view(*contexts.shape[:-1], -1)


def apart(values: Tensor) -> Tensor:
    """Return contexts (B, H, S, H * E), each of the `values` (B, H, S, E) of one head, with zeros for the others."""
    own = torch.eye(values.size(1), dtype=values.dtype, device=values.device)
    return torch.einsum("bhse,hg->bhsge", values, own).flatten(-2)


def scores(queries: Tensor, keys: Tensor, scale: Tensor) -> Tensor:
    """Return the scores (B, H, T, S), up to a summand of each query: the keys' level of 0 adds the same to all.

    Overwrites `queries` in float32; levels that are rotated are up to sqrt(2) times as far from ZERO as others.
    """
    whole, keys = to_float(queries).sub_(ZERO), to_float(keys)
    if keys.size(-1) * 2 * LARGEST * UNSIGNED > EXACT:
        whole, keys = whole.double(), keys.double()
    return (whole @ keys.transpose(-2, -1)).float().mul_(scale)


def to_float(levels: Tensor) -> Tensor:
    """Return `levels` of type uint8 in float32 and contiguous, and any other tensor as it is."""
    if levels.dtype != torch.uint8:
        return levels
    return levels.to(torch.float32, memory_format=torch.contiguous_format)


def is_exact() -> bool:
    """Return whether this processor and this PyTorch compute products exactly; without VNNI their sums saturate."""
    if "onednn::qlinear_pointwise" not in torch._C._dispatch_get_all_op_names():
        return False
    rows = torch.full((3, 512), float(LARGEST))
    rows[1], rows[2, ::2] = -LARGEST, -LARGEST
    ones, sums = torch.ones(3), (rows.double() @ rows.double().T).float()
    levels = Int8Product(rows, ones, ones / 2, 1.0, ones * 2**17)(rows).float()
    return torch.equal(Int8Product(rows, ones, None, 1.0)(rows), sums) and torch.equal(
        levels, ((sums + 0.5) / 2**17 + ZERO).round_().clamp_(0, UNSIGNED)
    )


def mean(scores: Tensor, values: Tensor) -> Tensor:
    """Return the mean (..., T, E) of the `values` (..., S, E), levels, by the softmax of `scores` (..., T, S).

    Overwrites `scores`.
    """
    weights = shares(scores)
    totals = weights.sum(-1, keepdim=True)
    if weights.size(-1) * SHARES * UNSIGNED > EXACT and float(totals.amax()) * UNSIGNED > EXACT:
        weights, values = weights.double(), values.double()
    return (weights @ values).float().div_(totals)


def shares(scores: Tensor) -> Tensor:
    """Return the softmax of `scores` (..., S) in whole numbers, of which the largest is SHARES; overwrites `scores`."""
    return scores.sub_(scores.amax(-1, keepdim=True).sub_(math.log(SHARES))).clamp_min_(LEAST).exp_().round_()
