"""Preparation of a model for inference: fused products, and weights laid out for them or in 8-bit integers.

A model in int8 has levels, of type int8, as the weights of its products and embeddings, and the parameters `scales`:
one of each row of such a weight, and in attention one of each head of queries, keys and values.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from nmt.config.decoding import InferencePrecision
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.model.int8 import LEVELS, TINY, quantize
from nmt.model.layers import Attention, Linear, SelfAttention
from nmt.model.protocol import Model

ROWS, PIECES = 16, 32  # lines, and their pieces, that a model reads so that its activations can be measured


def prepare(model: Model, precision: InferencePrecision) -> Model:
    """Return `model`, changed for inference in `precision`: it cannot be trained, loaded or saved any more."""
    if precision != "int8":
        dequantize(model)
    model.to(torch.bfloat16 if precision == "bfloat16" else torch.float32).requires_grad_(requires_grad=False).eval()
    if precision == "int8" and not is_quantized(model):
        quantize_model(model)
    for module in list(model.modules()):
        if isinstance(module, SelfAttention):
            module.fuse()
        if isinstance(module, Attention) and precision == "int8":
            module.set_scales(module.get_parameter("scales").detach())
            module.register_parameter("scales", None)
    for linear in [module for module in model.modules() if isinstance(module, Linear)]:
        if precision == "int8":
            linear.quantize()
        else:
            linear.pack()
    dequantize(model)  # the embeddings, which are left
    return model


def matrices(model: Model) -> Iterator[Linear | nn.Embedding]:
    """Yield the modules of `model` whose weights are quantized."""
    for module in model.modules():
        if isinstance(module, Linear | nn.Embedding) and module.weight is not None:
            yield module


def is_quantized(model: Model) -> bool:
    """Return whether `model` is one in int8."""
    return any(module.weight.dtype == torch.int8 for module in matrices(model))


def dequantize(model: Model) -> None:
    """Replace levels by their products with the scales, in float32; what is shared is not any more."""
    for module in matrices(model):
        if module.weight.dtype == torch.int8:
            weight = module.weight * module.get_parameter("scales").detach()[:, None]
            module.weight = nn.Parameter(weight, requires_grad=False)
            module.register_parameter("scales", None)


def undrawn(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return levels and scales of any value, which are to be loaded, in the shapes that `quantize` gives them."""
    return torch.empty_like(weight), torch.empty_like(weight[:, :1])


def hold_levels(model: Model, of: Callable[[Tensor], tuple[Tensor, Tensor]] = undrawn) -> None:
    """Turn `model` into one in int8, with the levels and scales `of` its weights; what is shared stays shared.

    The scales of attention have any value.
    """
    held: dict[Tensor, tuple[nn.Parameter, nn.Parameter]] = {}
    for module in matrices(model):
        weight = module.weight
        if weight not in held:
            levels, scales = of(weight.detach())
            parts = levels.to(torch.int8), scales.flatten()
            held[weight] = nn.Parameter(parts[0], requires_grad=False), nn.Parameter(parts[1], requires_grad=False)
        module.weight, module.scales = held[weight]
    for attention in [module for module in model.modules() if isinstance(module, Attention)]:
        attention.scales = nn.Parameter(torch.empty(3 * attention.heads), requires_grad=False)


@torch.no_grad()
def quantize_model(model: Model) -> None:
    """Turn `model` into one in int8; the scales of attention are measured on random pieces."""
    attentions = [module for module in model.modules() if isinstance(module, Attention)]
    roots: dict[nn.Module, Tensor] = {}

    def measure(linear: nn.Module, _: object, output: Tensor, size: int) -> None:
        heads = output.view(-1, output.size(-1) // size, size)
        roots[linear] = heads.square().mean((0, 2)).sqrt().clamp_min(TINY)

    handles = [
        linear.register_forward_hook(lambda linear, x, output, size=attention.size: measure(linear, x, output, size))
        for attention in attentions
        for linear in attention.projections()
    ]
    model.hidden(*sample(model))
    for handle in handles:
        handle.remove()
    hold_levels(model, quantize)
    for attention in attentions:
        scales = torch.cat([roots[linear] for linear in attention.projections()]) / LEVELS
        # Of five bits: the roots are of sums in float32, and another number of threads rounds them in another way.
        fraction, exponent = torch.frexp(scales)
        attention.get_parameter("scales").copy_(torch.ldexp((fraction * 32).round() / 32, exponent))


def sample(model: Model) -> tuple[Tensor, Tensor]:
    """Return random lines of pieces of both vocabularies as source and target, always the same ones."""
    pieces = min(len(module.weight) for module in matrices(model) if isinstance(module, nn.Embedding))
    generator = torch.Generator().manual_seed(0)
    shape = 2, ROWS, min(PIECES, model.position_limit // 2)
    src, tgt_in = torch.randint(EOS_ID + 1, pieces, shape, generator=generator)
    return src, tgt_in
