"""The Transformer of "Attention Is All You Need" (Vaswani et al. 2017), top to bottom as in the paper.

Shapes as in `nmt.model.layers`.
"""

import math
from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from nmt.config.model import AttentionKind, ModelConfig
from nmt.model import layers
from nmt.model.cache import DecoderCache, columns
from nmt.model.int8 import to_float
from nmt.model.protocol import Model


class Transformer(Model):
    """Encoder and decoder: ids of both sides in, logits of the next target piece out (figure 1)."""

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, *, pad_id: int) -> None:
        super().__init__()
        self.pad_id = pad_id
        # A translation may be up to twice as long as the longest source.
        self.position_limit, self.decoder_depth = 2 * config.max_length, config.decoder_layers
        positions = layers.LearnedPositions if config.positions == "learned" else layers.SinusoidalPositions
        self.is_rotary = config.positions == "rotary"
        self.positions = positions(self.position_limit, config.width_of_heads if self.is_rotary else config.d_model)
        self.scale = math.sqrt(config.d_model)
        self.dropout = layers.Dropout(config.dropout)
        self.target_embedding = nn.Embedding(target_size, config.d_model)
        self.source_embedding = (
            self.target_embedding if config.tied_embeddings == "all" else nn.Embedding(source_size, config.d_model)
        )
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        # Pre-norm stacks need a final norm; post-norm layers end in one.
        final_norm = nn.LayerNorm if config.norm == "pre" else nn.Identity
        self.encoder_norm, self.decoder_norm = final_norm(config.d_model), final_norm(config.d_model)
        self.generator = layers.Linear(config.d_model, target_size, bias=False)
        self._initialize()
        if config.tied_embeddings != "none":
            self.generator.weight = self.target_embedding.weight

    @property
    def decoder_layers(self) -> Sequence["DecoderLayer"]:
        return cast("Sequence[DecoderLayer]", self.decoder)

    def _initialize(self) -> None:
        """Draw matrices by Xavier's uniform rule, embeddings with variance 1/D, which scaling makes 1."""
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if "embedding" in name or "positions" in name:
                nn.init.normal_(parameter, std=1 / self.scale)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name.endswith("key_value.weight"):  # two matrices in one: each has the bound of its own shape
                for half in parameter.chunk(2):
                    nn.init.xavier_uniform_(half)
            else:
                nn.init.xavier_uniform_(parameter)

    def hidden(self, src: Tensor, tgt_in: Tensor, *, src_padded: bool = True) -> Tensor:
        mask = self.padding_mask(src) if src_padded else None
        return self.decode(tgt_in, self.encode(src, mask), mask)

    def embed(self, ids: Tensor, embedding: nn.Embedding, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scale embeddings of `ids` (B, T) by sqrt(D) and add `positions` (T, D) (sections 3.4, 3.5).

        Rotary positions (T, E) are not added, but returned for the self-attention of each layer.
        """
        x = embedding(ids) * self.scale  # (B, T, D)
        if not self.is_rotary:
            x = x + positions  # in the type of the positions
        return self.dropout(x.to(embedding.weight.dtype)), positions if self.is_rotary else None

    def padding_mask(self, src: Tensor) -> Tensor:
        """Return the mask (B, 1, 1, S) that hides the padding of `src` (B, S), by `prepare_mask`."""
        return layers.prepare_mask((src != self.pad_id)[:, None, None], self.target_embedding.weight.dtype)

    def encode(self, src: Tensor, mask: Tensor | None) -> Tensor:
        """Return the memory (B, S, D) of `src` (B, S); `mask` is its `padding_mask`, None where nothing is padded."""
        x, rotation = self.embed(src, self.source_embedding, self.positions(0, src.size(1)))
        for layer in self.encoder:
            x = layer(x, mask, rotation)
        return self.encoder_norm(x)

    def decode(self, tgt_in: Tensor, memory: Tensor, memory_mask: Tensor | None) -> Tensor:
        """Return the decoder's output (B, T, D) for a whole target (B, T)."""
        # Padding stands at the right, so that the causal mask hides it from every real position.
        causal_mask = layers.causal_mask(tgt_in)
        x, rotation = self.embed(tgt_in, self.target_embedding, self.positions(0, tgt_in.size(1)))
        for layer in self.decoder:
            x = layer(x, memory, causal_mask, memory_mask, rotation)
        return self.decoder_norm(x)

    def start_cache(self, src: Tensor) -> DecoderCache:
        """Encode `src`, and project the memory to keys and values once a sentence."""
        mask = self.padding_mask(src)
        memory = self.encode(src, mask)
        cross_kv = [
            (columns(keys), values.contiguous())  # read at every step
            for layer in self.decoder_layers
            for keys, values in [map(to_float, layer.cross_attention.keys_and_values(memory))]
        ]
        empty = [(keys[:, :, :0], values[:, :, :0]) for keys, values in cross_kv]
        return DecoderCache(mask, cross_kv, empty)

    def next_hidden(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Return the hidden states (B, K, D) that predict the piece after `tokens` (B, K)."""
        x, rotation = self.embed(tokens, self.target_embedding, self.positions(cache.length, 1))  # (B, K, D)
        cache.extend(tokens.size(1))
        for index, layer in enumerate(self.decoder_layers):
            x = layer.next(x, cache, index, rotation)
        return self.decoder_norm(x)

    def attentions(self) -> dict[AttentionKind, list[layers.Attention]]:
        encoder_layers = cast("Sequence[EncoderLayer]", self.encoder)
        return {
            "encoder": [layer.self_attention for layer in encoder_layers],
            "decoder": [layer.self_attention for layer in self.decoder_layers],
            "cross": [layer.cross_attention for layer in self.decoder_layers],
        }


class EncoderLayer(layers.Residual):
    """Self-attention, then feed-forward (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.self_attention = layers.SelfAttention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = layers.FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)

    def norms(self) -> list[tuple[nn.LayerNorm, layers.Linear]]:
        return [
            (self.self_attention_norm, self.self_attention.projections()[0]),
            (self.feed_forward_norm, self.feed_forward.inner),
        ]

    def forward(self, x: Tensor, mask: Tensor | None, rotation: Tensor | None = None) -> Tensor:
        """Map `x` (B, S, D) to the same shape; `mask` broadcasts to (B, H, S, S)."""
        x = self.residual(x, self.self_attention_norm, lambda x: self.self_attention(x, rotation, mask))
        return self.residual(x, self.feed_forward_norm, self.feed_forward)


class DecoderLayer(layers.Residual):
    """Self-attention, attention over the memory, then feed-forward (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.self_attention = layers.SelfAttention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        self.cross_attention = layers.Attention(config)
        self.cross_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = layers.FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)

    def norms(self) -> list[tuple[nn.LayerNorm, layers.Linear]]:
        return [
            (self.self_attention_norm, self.self_attention.projections()[0]),
            (self.cross_attention_norm, self.cross_attention.query),
            (self.feed_forward_norm, self.feed_forward.inner),
        ]

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        causal_mask: Tensor | None,
        memory_mask: Tensor | None,
        rotation: Tensor | None = None,
    ) -> Tensor:
        """Map `x` (B, T, D) to the same shape, with `memory` (B, S, D); masks broadcast to (B, H, T, T or S)."""

        def attend_to_target(x: Tensor) -> Tensor:
            return self.self_attention(x, rotation, causal_mask, is_causal=True)

        x = self.residual(x, self.self_attention_norm, attend_to_target)
        x = self.residual(x, self.cross_attention_norm, lambda x: self.cross_attention(x, memory, memory_mask))
        return self.residual(x, self.feed_forward_norm, self.feed_forward)

    def next(self, x: Tensor, cache: DecoderCache, index: int, rotation: Tensor | None) -> Tensor:
        """Map the newest position of each hypothesis, `x` (B, K, D), and write layer `index` of `cache`."""

        def attend_to_target(x: Tensor) -> Tensor:
            queries, keys, values = self.self_attention.project(x, rotation)
            return self.self_attention.attend(queries, *cache.write(index, keys, values), cache.self_mask)

        def attend_to_memory(x: Tensor) -> Tensor:
            # The K hypotheses of a sentence are K queries to one memory, which is not copied for the beam.
            queries = self.cross_attention.queries(x)
            return self.cross_attention.attend(queries, *cache.cross_kv[index], cache.memory_mask)

        x = self.residual(x, self.self_attention_norm, attend_to_target)
        x = self.residual(x, self.cross_attention_norm, attend_to_memory)
        return self.residual(x, self.feed_forward_norm, self.feed_forward)
