"""Products in small integers on a CPU: of rows with weights in 8 bits, and of attention.

The sums are of integers and exact, in any order, so that a row has the same result alone, in any batch, in search and
in scoring. Shapes as in `nmt.model.layers`.
"""

import math

import torch
from torch import Tensor

LARGEST = 127  # magnitude of an 8-bit level
ZERO = 128  # the unsigned level that stands for 0: oneDNN has fast kernels for unsigned rows alone
TINY = 1e-30  # in place of the largest magnitude of a row of zeros
LEVELS = 32  # level of the root mean square of queries, keys or values
BOUND = 255  # magnitude of a level of them
SHARES = 2**9  # levels of the largest share of attention
CHUNK = 256  # rows computed at a time, so that they stay in the cache of the processor
EXACT = 2**24  # float32 holds all integers up to this


def quantize(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 8-bit levels of `x` (..., K), in float32, and the scales (..., 1) of its rows."""
    largest = x.abs().amax(-1, keepdim=True).clamp_min_(TINY)
    return (x * (LARGEST / largest)).round_(), largest * (1 / LARGEST)


def padded(rows: int) -> int:
    """Return the number of rows, at least `rows`, to compute: of few numbers, for oneDNN makes new code for each."""
    step = max(1 << (rows - 1).bit_length(), 32) // 8  # 4, 8, ... 32, 40, ... 64, 80, ...
    return -(-rows // step) * step


class Int8Product:
    """The product of rows with one quantized weight, each row with a scale of its own."""

    def __init__(self, levels: Tensor, scales: Tensor, bias: Tensor | None, output_scales: Tensor | None) -> None:
        """Take the `levels` (N, K) of a weight, a row an output channel, and the `scales` (N) of its rows.

        With `output_scales` (N) the results are whole numbers of them, as `mean` takes them.
        """
        self.weight = torch.ops.onednn.qlinear_prepack(levels.to(torch.int8), None)
        self.scales = scales if output_scales is None else scales / output_scales
        self.bias = bias if output_scales is None or bias is None else bias / output_scales
        self.zeros = torch.zeros(len(levels), dtype=torch.int32)
        self.is_whole = output_scales is not None

    def __call__(self, x: Tensor) -> Tensor:
        """Return (..., N), float32, of `x` (..., K)."""
        rows = x.flatten(0, -2)
        out = torch.empty(len(rows), len(self.zeros))
        for part, of_part in zip(rows.split(CHUNK), out.split(CHUNK), strict=True):
            self.multiply(part, of_part)
        return out.view(*x.shape[:-1], -1)

    def multiply(self, x: Tensor, out: Tensor) -> None:
        """Write the result of `x` (R, K) to `out` (R, N)."""
        levels, scales = quantize(x)
        count = len(levels)
        unsigned = torch.empty(padded(count), x.size(1), dtype=torch.uint8)
        torch.bitwise_xor(levels.to(torch.int8).view(torch.uint8), ZERO, out=unsigned[:count])
        sums = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, ZERO, self.weight, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )[:count]
        if self.bias is None:
            torch.mul(sums, scales, out=out)
        else:
            torch.addcmul(self.bias, sums, scales, out=out)
        if self.is_whole:
            out.round_().clamp_(-BOUND, BOUND)


def is_exact() -> bool:
    """Return whether this processor and this PyTorch compute products exactly; without VNNI their sums saturate."""
    if "onednn::qlinear_pointwise" not in torch._C._dispatch_get_all_op_names():
        return False
    rows = torch.full((3, 512), float(LARGEST))
    rows[1], rows[2, ::2] = -LARGEST, -LARGEST
    levels, scales = quantize(rows)
    found = Int8Product(levels, scales.flatten(), None, None)(rows)
    return torch.equal(found, (rows.double() @ rows.double().T).float())


def mean(scores: Tensor, values: Tensor) -> Tensor:
    """Return the mean (..., T, D/H) of the whole `values` (..., S, D/H) by the softmax of `scores` (..., T, S).

    The shares of the softmax are whole numbers, too, of which the largest is SHARES. Overwrites `scores`.
    """
    shares = scores.sub_(scores.amax(-1, keepdim=True).sub_(math.log(SHARES))).exp_().round_()
    totals = shares.sum(-1, keepdim=True)
    if float(totals.amax()) * BOUND > EXACT:
        shares, values = shares.double(), values.double()
    return (shares @ values).float().div_(totals)
