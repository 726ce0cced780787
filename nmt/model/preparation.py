"""Preparation of a model for inference: fused products, and weights laid out for them or in 8-bit integers.

A model in int8 has levels, of type int8, as the weights of its products and embeddings, and the parameters `scales`:
one of each row of such a weight, and in attention one of each head of queries, keys and values.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from nmt.config.decoding import InferencePrecision
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.model.int8 import LARGEST, TINY, UNSIGNED, quantize
from nmt.model.layers import Attention, FeedForward, Linear, Residual, SelfAttention
from nmt.model.protocol import Model

LEVELS = 24  # level of the root mean square of queries, keys and values
MARGIN = 1.25  # of the feed-forward layers: the largest activation of text was seen to be so much larger
ROWS, PIECES = 16, 32  # lines, and their pieces, that a model reads so that its activations can be measured


def prepare(model: Model, precision: InferencePrecision) -> Model:
    """Return `model`, changed for inference in `precision`: it cannot be trained, loaded or saved any more."""
    if precision != "int8":
        dequantize(model)
    model.to(torch.bfloat16 if precision == "bfloat16" else torch.float32).requires_grad_(requires_grad=False).eval()
    if precision == "int8" and not is_quantized(model):
        quantize_model(model)
    for module in list(model.modules()):
        if isinstance(module, SelfAttention | FeedForward):
            module.fuse()
    if precision == "int8":
        make_products(model)
    else:
        for module in model.modules():
            if isinstance(module, Linear):
                module.pack()
    dequantize(model)  # the embeddings, which are left
    return model


def make_products(model: Model) -> None:
    """Replace the weights of a quantized `model` by products with them."""
    is_finite = all(bool(tensor.isfinite().all()) for tensor in model.parameters())
    for module in model.modules():
        if isinstance(module, Attention | FeedForward):
            module.quantize()
    model.generator.quantize()
    for module in model.modules():
        if isinstance(module, Residual) and module.pre_norm:
            for norm, linear in module.norms():
                linear.int8_product.fold(norm)
    if not is_finite:  # integers would hide it
        model.generator.int8_product.scales.fill_(torch.nan)


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
            if isinstance(module, Linear):
                module.register_parameter("input_scale", None)


def undrawn(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return levels and scales of any value, which are to be loaded, in the shapes that `quantize` gives them."""
    return torch.empty_like(weight), torch.empty_like(weight[:, :1])


def hold_levels(model: Model, of: Callable[[Tensor], tuple[Tensor, Tensor]] = undrawn) -> None:
    """Turn `model` into one in int8, with the levels and scales `of` its weights; what is shared stays shared.

    The scales of activations have any value.
    """
    held: dict[Tensor, tuple[nn.Parameter, nn.Parameter]] = {}
    for module in matrices(model):
        weight = module.weight
        if weight not in held:
            levels, scales = of(weight.detach())
            parts = levels.to(torch.int8), scales.flatten()
            held[weight] = nn.Parameter(parts[0], requires_grad=False), nn.Parameter(parts[1], requires_grad=False)
        module.weight, module.scales = held[weight]
        if isinstance(module, Linear):
            module.input_scale = nn.Parameter(torch.empty(1), requires_grad=False)
    for attention in [module for module in model.modules() if isinstance(module, Attention)]:
        attention.scales = nn.Parameter(torch.empty(2, attention.heads), requires_grad=False)


@torch.no_grad()
def quantize_model(model: Model) -> None:
    """Turn `model` into one in int8; the scales of activations are measured on random pieces."""
    inputs: dict[nn.Module, Tensor] = {}
    outputs: dict[nn.Module, Tensor] = {}

    def measure(linear: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        inputs[linear], outputs[linear] = args[0], output

    linears = [module for module in model.modules() if isinstance(module, Linear)]
    handles = [linear.register_forward_hook(measure) for linear in linears]
    model.generator(model.hidden(*sample(model)))
    for handle in handles:
        handle.remove()
    hold_levels(model, quantize)
    for linear in linears:
        set_scale(linear, "input_scale", inputs[linear].abs().amax() / LARGEST)
    for module in model.modules():
        if isinstance(module, Attention):
            queries, keys, values = torch.cat([outputs[linear] for linear in module.projections()], -1).chunk(3, -1)
            roots = [x.reshape(-1, module.heads, module.size).square().mean((0, 2)).sqrt() for x in (queries, keys)]
            set_scale(module, "scales", torch.stack(roots) / LEVELS)
            set_scale(module.output, "input_scale", values.square().mean().sqrt() / LEVELS)
        elif isinstance(module, FeedForward):
            most = UNSIGNED if module.is_unsigned else LARGEST
            set_scale(module.outer, "input_scale", inputs[module.outer].abs().amax() * (MARGIN / most))


def set_scale(module: nn.Module, name: str, scales: Tensor) -> None:
    """Set the parameter `name` to `scales` of five bits each, as another number of threads rounds the others away."""
    fraction, exponent = torch.frexp(scales.clamp_min(TINY))
    module.get_parameter(name).copy_(torch.ldexp((fraction * 32).round() / 32, exponent))


def sample(model: Model) -> tuple[Tensor, Tensor]:
    """Return random lines of pieces of both vocabularies as source and target, always the same ones."""
    pieces = min(len(module.weight) for module in matrices(model) if isinstance(module, nn.Embedding))
    generator = torch.Generator().manual_seed(0)
    shape = 2, ROWS, min(PIECES, model.position_limit // 2)
    src, tgt_in = torch.randint(EOS_ID + 1, pieces, shape, generator=generator)
    return src, tgt_in
