"""Source and target in one sequence, through one stack of layers.

The sequence is the source with EOS, then BOS and the target: position i holds the i-th of its pieces, and padding is at
the right. Shapes as in `nmt.model.layers`; L is the length of a sequence, at most S + T.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nmt.config.model import AttentionKind, ModelConfig
from nmt.model import layers
from nmt.model.cache import DecoderCache, empty_columns
from nmt.model.embedding import EmbeddingModel
from nmt.model.encoder_decoder import EncoderLayer
from nmt.model.protocol import LayerMaps


class OneSequence(EmbeddingModel):
    """A model of one stack, `stack` of the name `stack_name`; families differ in which positions see which others."""

    stack_name: AttentionKind = "decoder"
    is_causal = False  # whether every position sees the earlier ones alone

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, *, pad_id: int) -> None:
        # The longest source, and a translation of up to twice its length.
        super().__init__(config, source_size, target_size, pad_id=pad_id, positions=3 * config.max_length)
        self.decoder_depth = config.encoder_layers + config.decoder_layers
        self.heads = config.heads, config.width_of_heads
        self.add_module(self.stack_name, nn.ModuleList(SequenceLayer(config) for _ in range(self.decoder_depth)))
        self.add_module(f"{self.stack_name}_norm", self.final_norm(config))
        self.add_generator(config, target_size)

    @property
    def stack(self) -> Sequence["SequenceLayer"]:
        return cast("Sequence[SequenceLayer]", self.get_submodule(self.stack_name))

    @property
    def stack_norm(self) -> nn.Module:
        return self.get_submodule(f"{self.stack_name}_norm")

    @abstractmethod
    def mask(self, ids: Tensor, starts: Tensor, tgt_in: Tensor) -> Tensor | None:
        """Return what each position of `ids` (B, L) sees, broadcasting to (B, H, L, L), by `prepare_mask`.

        The source has `starts` (B, 1) pieces, after which the target `tgt_in` (B, T) starts; `starts` is (1, 1) where
        all have as many. None on a GPU where `is_causal` says it all.
        """

    def hidden(self, src: Tensor, tgt_in: Tensor, *, src_padded: bool = True) -> Tensor:
        states, starts = self.states(src, tgt_in, src_padded=src_padded)
        return self.target_rows(states, starts, tgt_in.size(1))

    def states(self, src: Tensor, tgt_in: Tensor, *, src_padded: bool = True) -> tuple[Tensor, Tensor]:
        """Return the hidden states (B, S + T, D) of the sequence, and where its target starts, (B, 1) or (1, 1)."""
        length, room = src.size(1), src.size(1) + tgt_in.size(1)
        starts = (src != self.pad_id).sum(1, keepdim=True) if src_padded else src.new_full((1, 1), length)
        ids, places = torch.cat([src, tgt_in], 1), torch.arange(room, device=src.device)
        if src_padded:  # move each target to the end of its source
            ids = ids.gather(1, torch.where(places < starts, places, places - starts + length).clamp(max=room - 1))
        positions = self.positions_of(ids, self.draw_offsets(len(ids), ids.device))
        x, rotation = self.embed(self.look_up(ids, places < starts), positions)
        mask = self.mask(ids, starts, tgt_in)
        for layer in self.stack:
            x = layer(x, mask, rotation, is_causal=self.is_causal)
        return self.stack_norm(x), starts

    def look_up(self, ids: Tensor, is_source: Tensor) -> Tensor:
        """Return the embeddings (B, L, D) of `ids` (B, L), by the table of the side that `is_source` says."""
        if self.source_embedding is self.target_embedding:
            return self.target_embedding(ids)
        source = self.source_embedding(ids.where(is_source, self.pad_id))
        target = self.target_embedding(ids.where(~is_source, self.pad_id))
        return torch.where(is_source[..., None], source, target)

    @staticmethod
    def target_rows(states: Tensor, starts: Tensor, length: int) -> Tensor:
        """Return the rows (B, T, D) of the target, of `length` T, in the `states` (B, L, D) of a sequence."""
        batch, room = states.shape[:2]
        if len(starts) < batch:
            return states[:, room - length :]
        places = starts + torch.arange(length, device=states.device)
        places = places + room * torch.arange(batch, device=states.device)[:, None]
        return states.flatten(0, 1).index_select(0, places.flatten()).view(batch, length, -1)

    def start_cache(self, src: Tensor) -> DecoderCache:
        """Read `src` (B, S); its keys and values stand at the beginning of those of each hypothesis."""
        is_source = src != self.pad_id
        starts, length = is_source.sum(1, keepdim=True), src.size(1)
        x, rotation = self.embed(self.source_embedding(src), self.positions(0, length))
        empty = empty_columns(x, len(src), *self.heads)
        cache = DecoderCache(self.padding_mask(src), [], [empty] * len(self.stack), is_source)
        mask = self.mask(src, starts, src[:, :0])
        for index, layer in enumerate(self.stack):
            x = layer.next(x, cache, index, rotation, mask, is_causal=self.is_causal)
        return cache

    def next_hidden(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Return the hidden states (B, K, D) that predict the piece after `tokens` (B, K)."""
        places = cache.starts + cache.length  # (B, 1)
        positions = self.positions.at(places[:, None] if self.is_rotary else places)  # (B, 1, 1, E) or (B, 1, D)
        x, rotation = self.embed(self.target_embedding(tokens), positions)
        cache.extend(tokens.size(1))
        for index, layer in enumerate(self.stack):
            x = layer.next(x, cache, index, rotation, cache.self_mask)
        return self.stack_norm(x)

    def attentions(self) -> dict[AttentionKind, list[layers.Attention]]:
        return {self.stack_name: [layer.self_attention for layer in self.stack]}

    def attention(self, src: Tensor, tgt_in: Tensor, layer: int | None = None) -> Tensor:
        """Return the weights (B, T, S) of the target over the source in layer `layer`, from 1, averaged over its heads.

        By default it is the layer that aligns. A row is a part of what a position attends to: the rest is of the target
        so far.
        """
        (weights,) = self.attention_weights(
            src, tgt_in, [self.stack[(layer or self.aligning_layer) - 1].self_attention]
        )
        starts = (src != self.pad_id).sum(1, keepdim=True)
        return self.target_rows(weights.mean(1), starts, tgt_in.size(1))[..., : src.size(1)]

    def attention_maps(self, src: Tensor, tgt_in: Tensor) -> dict[AttentionKind, list[LayerMaps]]:
        """Cut the attention of each layer into the kinds: rows of the target sum to 1 over both of its maps."""
        whole, length = super().attention_maps(src, tgt_in)[self.stack_name], src.size(1)
        return {
            "encoder": [LayerMaps(*(each[..., :length, :length] for each in layer)) for layer in whole],
            "decoder": [LayerMaps(*(each[..., length:, length:] for each in layer)) for layer in whole],
            "cross": [LayerMaps(*(each[..., length:, :length] for each in layer)) for layer in whole],
        }


class SequenceLayer(EncoderLayer):
    """Self-attention, then feed-forward, of any mask, and with a cache."""

    def forward(
        self, x: Tensor, mask: Tensor | None, rotation: Tensor | None = None, *, is_causal: bool = False
    ) -> Tensor:
        """Map `x` (B, L, D) to the same shape; `mask` broadcasts to (B, H, L, L)."""

        def attend(x: Tensor) -> Tensor:
            return self.self_attention(x, rotation, mask, is_causal=is_causal)

        x = self.residual(x, self.self_attention_norm, attend)
        return self.residual(x, self.feed_forward_norm, self.feed_forward)

    def next(
        self,
        x: Tensor,
        cache: DecoderCache,
        index: int,
        rotation: Tensor | None,
        mask: Tensor | None,
        *,
        is_causal: bool = False,
    ) -> Tensor:
        """Map the newest positions `x` (B, K, D), which see by `mask` those in layer `index` of `cache`."""

        def attend(x: Tensor) -> Tensor:
            queries, keys, values = self.self_attention.project(x, rotation)
            every = cache.write(index, keys, values)
            return self.self_attention.attend(queries, *every, mask, is_causal=is_causal)

        x = self.residual(x, self.self_attention_norm, attend)
        return self.residual(x, self.feed_forward_norm, self.feed_forward)
