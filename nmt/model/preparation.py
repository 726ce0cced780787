"""Preparation of a model for inference: fused products, and weights laid out for them or in 8-bit integers."""

import torch
from torch import Tensor, nn

from nmt.config.training import InferencePrecision
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.model.int8 import LEVELS, TINY, quantize
from nmt.model.layers import Attention, Linear, SelfAttention
from nmt.model.protocol import Model

ROWS, PIECES = 16, 32  # lines, and their pieces, that a model reads so that its activations can be measured


def prepare(model: Model, precision: InferencePrecision) -> Model:
    """Return `model`, changed for inference in `precision`: it cannot be trained, loaded or saved any more."""
    for module in list(model.modules()):
        if isinstance(module, SelfAttention):
            module.fuse()
    model.to(torch.bfloat16 if precision == "bfloat16" else torch.float32).eval().requires_grad_(requires_grad=False)
    if precision == "int8":
        quantize_model(model)
    else:
        for module in model.modules():
            if isinstance(module, Linear):
                module.pack()
    return model


@torch.no_grad()
def quantize_model(model: Model) -> None:
    """Replace the weights of all products by 8-bit integers, and let the sums of attention be of integers."""
    modules = list(model.modules())
    embeddings = [module for module in modules if isinstance(module, nn.Embedding)]
    for embedding in embeddings:
        levels, scales = quantize(embedding.weight)
        embedding.weight = nn.Parameter(levels * scales, requires_grad=False)
    attentions = [module for module in modules if isinstance(module, Attention)]
    roots: dict[nn.Module, Tensor] = {}

    def measure(linear: nn.Module, _: object, output: Tensor, size: int) -> None:
        heads = output.view(-1, output.size(-1) // size, size)
        roots[linear] = heads.square().mean((0, 2)).sqrt().clamp_min(TINY)

    handles = [
        linear.register_forward_hook(lambda linear, x, output, size=attention.size: measure(linear, x, output, size))
        for attention in attentions
        for linear in attention.projections()
    ]
    model.hidden(*sample(model, min(len(embedding.weight) for embedding in embeddings)))
    for handle in handles:
        handle.remove()
    for attention in attentions:
        scales = torch.cat([roots[linear] for linear in attention.projections()]) / LEVELS
        # Of five bits: the roots are of sums in float32, and another number of threads rounds them in another way.
        fraction, exponent = torch.frexp(scales)
        attention.set_scales(torch.ldexp((fraction * 32).round() / 32, exponent))
    for module in modules:
        if isinstance(module, Linear):
            module.quantize()


def sample(model: Model, pieces: int) -> tuple[Tensor, Tensor]:
    """Return random lines of `pieces` different pieces as source and target, always the same ones."""
    generator = torch.Generator().manual_seed(0)
    shape = 2, ROWS, min(PIECES, model.position_limit // 2)
    src, tgt_in = torch.randint(EOS_ID + 1, pieces, shape, generator=generator)
    return src, tgt_in
