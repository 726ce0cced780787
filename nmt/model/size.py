"""The size of a model: parameters by part, operations of a translation and of training, the memory of its weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nmt.model.layers import Attention, FeedForward, Linear
from nmt.model.protocol import Model

Lengths = NDArray[np.float64]
SOURCE = "Hoffmann et al. 2022, appendix F, without the softmax: 2 m n k of a product of (m, k) and (k, n)"
"""The counting of floating-point operations; look-ups, sums, norms and softmax are left out."""
NAMES = {"source_embedding": "source embedding", "target_embedding": "target embedding", "generator": "output layer"}


def parameters_by_part(model: Model) -> dict[str, int]:
    """Return the number of parameters by part of `model`: of the layers by kind of sub-layer, a shared one once."""
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(part_of(name))
    parts: dict[str, int] = {}
    for parameter, of_parameter in names.items():
        part = " and ".join(dict.fromkeys(of_parameter))
        parts[part] = parts.get(part, 0) + parameter.numel()
    return parts


def part_of(name: str) -> str:
    """Return the part of a model to which the parameter `name` belongs: `decoder, cross attention`.

    >>> part_of("encoder.0.self_attention_norm.weight")
    'encoder, norms'
    """
    first, *others = name.split(".")
    sub_layer = others[1] if first in ("encoder", "decoder") else first
    side = first.removesuffix("_norm")
    if side not in ("encoder", "decoder"):
        return NAMES.get(first, first)
    return f"{side}, {'norms' if sub_layer.endswith('_norm') else sub_layer.replace('_', ' ')}"


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of a translation, counted as in `SOURCE`."""

    source_piece: int  # to encode a source piece, and to project it for the decoder
    source_pair: int  # more for each source position that it attends to
    target_piece: int  # to compute the next piece of one hypothesis
    target_pair: int  # more for each position in the cache of the decoder
    cross_pair: int  # more for each source position
    window: int | None = None  # positions that one sees at either side of it, in the decoder before it; None: all

    def pairs(self, lengths: Lengths) -> Lengths:
        """Return how many pairs of positions, of sequences of these `lengths`, are not hidden by the window."""
        reach = lengths - 1 if self.window is None else np.minimum(lengths - 1, self.window)
        return lengths * (2 * reach + 1) - reach * (reach + 1)

    def of_search(self, source: int, target: int, beam_size: int) -> int:
        """Return those of a search over `target` steps for a source of `source` pieces, both with EOS.

        The first step has one hypothesis, the others as many as the beam size, each with the positions of all in the
        cache, of which those of others are computed and hidden. In the encoder pairs out of the window do not count,
        though a block has some.
        """
        total = source * self.source_piece + int(self.pairs(np.array(float(source)))) * self.source_pair
        steps = [1, *[beam_size] * (target - 1)]
        for step, hypotheses in enumerate(steps):
            positions = sum(steps[0 if self.window is None else max(step - self.window, 0) : step + 1])
            total += hypotheses * (self.target_piece + positions * self.target_pair + source * self.cross_pair)
        return total


def operations(model: Model) -> Operations:
    """Count the operations of `model`, which is not prepared for inference, from the shapes of its weights."""
    linears = {name: module for name, module in model.named_modules() if isinstance(module, Linear)}
    every = sum(2 * linear.weight.numel() for linear in linears.values())
    kinds = model.attentions()
    pairs = {kind: sum(products(attention) for attention in of_kind) for kind, of_kind in kinds.items()}
    if "cross" not in kinds:  # one stack, which both sides pass
        (pair,) = pairs.values()
        return Operations(every - 2 * model.generator.weight.numel(), pair, every, pair, pair)
    memory = sum(2 * attention.key_value.weight.numel() for attention in kinds["cross"])
    encoding = memory + sum(
        2 * linear.weight.numel() for name, linear in linears.items() if name.startswith("encoder.")
    )
    (window,) = {attention.window for attention in (*kinds["encoder"], *kinds["decoder"])}
    return Operations(encoding, pairs["encoder"], every - encoding, pairs["decoder"], pairs["cross"], window)


def operations_of_training(model: Model, source: Lengths, target: Lengths, *, with_source: bool = False) -> float:
    """Return the operations of training once on pairs of these lengths (N), with EOS; padding counts nothing.

    The backward pass has twice as many as the forward pass. Positions that a causal mask hides count as others do.
    `with_source` is for a loss of the source's pieces too.
    """
    counted = operations(model)  # in floats, as an int64 may not hold the sum
    forward = source * counted.source_piece + counted.pairs(source) * counted.source_pair
    forward += target * (counted.target_piece + source * counted.cross_pair)
    forward += counted.pairs(target) * counted.target_pair
    if "cross" not in model.attentions():  # of one sequence each position is multiplied with all others
        forward += source * target * counted.cross_pair
    if with_source:
        forward += 2 * model.generator.weight.numel() * (source - 1)  # the first piece is not predicted
    return 3 * float(forward.sum())


def products(attention: Attention) -> int:
    """Return the operations for each pair of positions: a product with a key, and one with a value."""
    return 4 * attention.heads * attention.size


def memory_of_weights(model: Model) -> int:
    """Return the bytes of all tensors that `model` holds, prepared for inference or not; a shared one counts once."""
    held: list[object] = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        if isinstance(module, Linear):
            held += [module.packed, *(vars(module.product).values() if module.product else ())]
        elif isinstance(module, Attention):
            held.append(module.scale)
        elif isinstance(module, FeedForward):
            held.append(getattr(module.activation, "factors", None))
    tensors = {id(value): value for value in held if isinstance(value, Tensor)}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
