"""The interface of a model family, and of any network of its layers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from nmt.config.model import AttentionKind
from nmt.model.cache import DecoderCache
from nmt.model.int8 import TINY
from nmt.model.layers import Attention, Linear, Residual, SelfAttention

if TYPE_CHECKING:
    from nmt.data.encoding.dataset import Batch  # reads Parquet, which a translation does without

Measured = TypeVar("Measured")


class LayerMaps(NamedTuple):
    """The attention of a layer of one kind, (B, ..., rows, columns): a row is of a position that attends.

    Norms, see `Attention.norms`, are shares of the norms of all positions that the one of the row attends to.
    """

    weights: Tensor  # (B, H, rows, columns)
    norms: Tensor  # (B, H, rows, columns)
    layer_norms: Tensor  # (B, rows, columns), of all heads together


class Network(nn.Module):
    """A model of the shared layers, as an update and a checkpoint need it, whatever it computes."""

    compiled = False  # whether layers, and so the loss, are compiled

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def compile_layers(self) -> None:
        """Compile each layer by itself, for inputs of any length."""
        self.compiled = True
        for module in self.modules():
            if isinstance(module, Residual):
                module.compile(dynamic=True)

    def weights(self) -> dict[str, Tensor]:
        """Return every parameter by name, a shared one once."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError where the names or the `shapes` of weights are not the model's."""
        own = {name: tuple(parameter.shape) for name, parameter in self.weights().items()}
        if unmatched := sorted(own.keys() ^ shapes.keys()):
            raise ValueError(f"{unmatched[0]} is not in both the file and the model")
        for name, shape in own.items():
            if shape != shapes[name]:
                raise ValueError(f"{name} is {shapes[name]}, not {shape}")

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy `weights` into the parameters. Raises ValueError where a name, a shape or the kind of a type differs."""
        self.check_shapes({name: tuple(tensor.shape) for name, tensor in weights.items()})
        for name, parameter in self.weights().items():
            if parameter.is_floating_point() != weights[name].is_floating_point():
                raise ValueError(f"{name} is of type {weights[name].dtype}, not {parameter.dtype}")
            parameter.copy_(weights[name])

    def all_tensors(self) -> dict[str, Tensor]:
        """Return every parameter and buffer for an export, a shared parameter under each of its names."""
        parameters = self.named_parameters(remove_duplicate=False)
        return {name: tensor.detach() for name, tensor in [*parameters, *self.named_buffers()]}


class Model(Network, ABC):
    """A model of any family, as training, search, scoring, alignment and export use it.

    `src` (B, S) are source ids, EOS last; `tgt_in` (B, T) are target ids, BOS first; both padded on the right.
    """

    position_limit: int  # longest target in pieces, EOS included
    decoder_depth: int  # layers that attend over the source
    generator: Linear  # output layer, from hidden states (..., D) to logits (..., V)
    aligns = False  # whether the first head of the layer that aligns was trained to, see `guided_loss_inputs`

    @abstractmethod
    def hidden(self, src: Tensor, tgt_in: Tensor, *, src_padded: bool = True) -> Tensor:
        """Return the hidden states (B, T, D) from which the generator predicts the piece after each of `tgt_in`.

        `src_padded` is False where `src` is known to hold no padding, which saves a mask.
        """

    @abstractmethod
    def start_cache(self, src: Tensor) -> DecoderCache:
        """Encode `src`; return a cache with one hypothesis a sentence, which expects BOS."""

    @abstractmethod
    def next_hidden(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Return the hidden states (B, K, D) from which the generator predicts the piece after `tokens` (B, K).

        These are the newest piece of each hypothesis. Extends `cache`, which holds the earlier pieces, by one
        position. K may change from call to call.
        """

    @abstractmethod
    def attentions(self) -> dict[AttentionKind, list[Attention]]:
        """Return the attention of each layer by kind; of one stack over both sides, the kind is the stack's."""

    @property
    def aligning_layer(self) -> int:
        """The layer, from 1, whose attention aligns: the last but one (Garg et al. 2019)."""
        return max(self.decoder_depth - 1, 1)

    def attention(self, src: Tensor, tgt_in: Tensor, layer: int | None = None) -> Tensor:
        """Return the attention weights (B, T, S) of layer `layer`, from 1, over `src`, averaged over its heads.

        By default it is the layer that aligns, and its first head alone if that was trained to.
        """
        number = layer or self.aligning_layer
        (weights,) = self.attention_weights(src, tgt_in, self.attentions()["cross"][number - 1 : number])
        return weights[:, 0] if layer is None and self.aligns else weights.mean(1)

    def attention_maps(self, src: Tensor, tgt_in: Tensor) -> dict[AttentionKind, list[LayerMaps]]:
        """Return the attention of each layer by kind, of pairs without padding, as a pass has it.

        The kinds are the source over itself, the target over itself, and the target over the source.
        """
        by_kind = self.attentions()
        attentions = [attention for of_kind in by_kind.values() for attention in of_kind]
        weights = iter(self.attention_weights(src, tgt_in, attentions))
        norms = iter(self.attention_norms(src, tgt_in, attentions))
        return {
            kind: [LayerMaps(next(weights), *map(shares, next(norms))) for _ in of_kind]
            for kind, of_kind in by_kind.items()
        }

    def attention_weights(self, src: Tensor, tgt_in: Tensor, attentions: Sequence[Attention]) -> list[Tensor]:
        """Return the weights (B, H, T, S) of each of `attentions`, as a pass over `src` and `tgt_in` has them."""
        return self._recorded(src, tgt_in, attentions, lambda _, weights, __: weights)

    def attention_norms(
        self, src: Tensor, tgt_in: Tensor, attentions: Sequence[Attention]
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the norms (B, H, T, S) and (B, T, S) of `Attention.norms` for each of `attentions` in a pass."""
        return self._recorded(src, tgt_in, attentions, Attention.norms)

    def _recorded(
        self,
        src: Tensor,
        tgt_in: Tensor,
        attentions: Sequence[Attention],
        measure: Callable[[Attention, Tensor, Tensor], Measured],
    ) -> list[Measured]:
        """Return the `measure` of the weights (B, H, T, S) and values (B, H, S, E) of each of `attentions` in a pass.

        The weights are computed again from the inputs of the attention: the fused kernel of a GPU keeps none.
        """
        found: dict[nn.Module, Measured] = {}

        def record(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, bool]) -> None:
            *inputs, mask = args  # of a self-attention, the rotation is one of them
            attention = cast("Attention", module)
            queries, keys, values = attention.project(*inputs)
            whole = attention.whole_mask(queries, mask, **kwargs) if isinstance(attention, SelfAttention) else mask
            found[module] = measure(attention, attention.weights(queries, keys, whole), values)

        with ExitStack() as hooks:
            for attention in attentions:
                hooks.callback(attention.register_forward_pre_hook(record, with_kwargs=True).remove)
            self.hidden(src, tgt_in)
        return [found[attention] for attention in attentions]

    def forward(self, src: Tensor, tgt_in: Tensor) -> Tensor:
        """Return logits (B, T, V) of the piece after each of `tgt_in`."""
        return self.generator(self.hidden(src, tgt_in))

    def loss_inputs(self, batch: "Batch", *, with_source: bool = False) -> tuple[Tensor, Tensor]:
        """Return the hidden states (N, D) that predict the real labels of `batch`, and these labels (N).

        `with_source` adds those that predict the pieces of the source but the first, after them. Raises ValueError
        where the model predicts no source.
        """
        if with_source:
            raise ValueError("the model predicts no source")
        hidden = self.hidden(batch.src, batch.tgt_in, src_padded=batch.src_padded).flatten(0, 1)  # (B * T, D)
        return hidden.index_select(0, batch.label_indices), batch.real_labels

    def guided_loss_inputs(self, batch: "Batch") -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        """Return the `loss_inputs` of `batch`, and the log-weights (B, T, S) of the head that is trained to align.

        Raises ValueError where the model has no attention over the source alone.
        """
        raise ValueError("the model has no attention over the source alone")


def shares(norms: Tensor) -> Tensor:
    """Return `norms` (..., columns) as shares of the sum of their row; zeros of a row of zeros."""
    return norms / norms.sum(-1, keepdim=True).clamp_min(TINY)
