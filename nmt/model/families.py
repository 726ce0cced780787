"""The one place that constructs a model."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nmt.config.model import Architecture, ModelConfig
from nmt.data.encoding.tokenizer import PAD_ID
from nmt.model.decoder_only import DecoderOnly
from nmt.model.encoder_decoder import Transformer
from nmt.model.encoder_only import EncoderOnly
from nmt.model.prefix_lm import PrefixLM
from nmt.model.preparation import hold_levels
from nmt.model.protocol import Model

FAMILIES: dict[Architecture, type[Transformer | DecoderOnly | PrefixLM | EncoderOnly]] = {
    "encoder-decoder": Transformer,
    "decoder-only": DecoderOnly,
    "prefix-lm": PrefixLM,
    "encoder-only": EncoderOnly,
}


def build(config: ModelConfig, source_size: int, target_size: int) -> Model:
    """Build the model that `config` describes, for vocabularies of these sizes; draw its weights at random."""
    return FAMILIES[config.architecture](config, source_size, target_size, pad_id=PAD_ID)


def check_shapes(
    shapes: Mapping[str, tuple[int, ...]],
    config: ModelConfig,
    source_size: int,
    target_size: int,
    *,
    in_int8: bool = False,
) -> None:
    """Raise ValueError where the names or the `shapes` of weights are not those of the model that `config` describes.

    It takes little time and memory, whatever `config` claims.
    """
    layers = config.encoder_layers + config.decoder_layers
    if layers > len(shapes):  # to build them, if only by name, may take long
        raise ValueError(f"{len(shapes)} weights are too few for {layers} layers")
    build_without_weights(config, source_size, target_size, in_int8=in_int8).check_shapes(shapes)


def build_without_weights(config: ModelConfig, source_size: int, target_size: int, *, in_int8: bool = False) -> Model:
    """Build the same model with the names and shapes of its weights alone, in no memory."""
    with torch.device("meta"):
        return build_undrawn(config, source_size, target_size, in_int8=in_int8)


def build_undrawn(config: ModelConfig, source_size: int, target_size: int, *, in_int8: bool = False) -> Model:
    """Build the same model with weights of any value, which are to be loaded; `in_int8` see `preparation`."""
    with _Undrawn():
        model = build(config, source_size, target_size)
        if in_int8:
            hold_levels(model)
        return model


class _Function(Protocol):
    def __call__(self, *args: object, **kwargs: object) -> object: ...


class _Undrawn(TorchFunctionMode):
    """Leaves new weights as they are: to draw them takes a second, and without memory PyTorch imports SymPy for it."""

    def __torch_function__(
        self,
        func: "_Function",
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func in _DRAWS:
            return None  # which nobody reads
        return func(*args, **(kwargs or {}))


_DRAWS: set[object] = {nn.init.normal_, nn.init.kaiming_uniform_, Tensor.uniform_, Tensor.zero_, Tensor.fill_}
