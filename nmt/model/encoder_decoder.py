"""The Transformer of "Attention Is All You Need" (Vaswani et al. 2017), top to bottom as in the paper.

Shapes as in `nmt.model.layers`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from nmt.config.model import AttentionKind, ModelConfig
from nmt.model import layers
from nmt.model.cache import DecoderCache, columns
from nmt.model.embedding import EmbeddingModel
from nmt.model.int8 import to_float

if TYPE_CHECKING:
    from nmt.data.encoding.dataset import Batch


class Transformer(EmbeddingModel):
    """Encoder and decoder: ids of both sides in, logits of the next target piece out (figure 1)."""

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, *, pad_id: int) -> None:
        # A translation may be up to twice as long as the longest source.
        super().__init__(config, source_size, target_size, pad_id=pad_id, positions=2 * config.max_length)
        self.decoder_depth, self.window = config.decoder_layers, config.attention_window
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.encoder_norm, self.decoder_norm = self.final_norm(config), self.final_norm(config)
        self.add_generator(config, target_size)

    @property
    def decoder_layers(self) -> Sequence["DecoderLayer"]:
        return cast("Sequence[DecoderLayer]", self.decoder)

    def hidden(self, src: Tensor, tgt_in: Tensor, *, src_padded: bool = True) -> Tensor:
        return self._hidden(src, tgt_in, src_padded)

    def guided_loss_inputs(self, batch: "Batch") -> tuple[Tensor, Tensor, Tensor]:
        """Return the `loss_inputs` of `batch`, and the log-weights (B, T, S) of the head that aligns."""
        found: list[Tensor] = []
        hidden = self._hidden(batch.src, batch.tgt_in, batch.src_padded, found).flatten(0, 1)
        return hidden.index_select(0, batch.label_indices), batch.real_labels, found[0]

    def _hidden(self, src: Tensor, tgt_in: Tensor, src_padded: bool, found: list[Tensor] | None = None) -> Tensor:
        """Return the hidden states; append to `found` the log-weights of the head that aligns."""
        mask = self.padding_mask(src) if src_padded else None
        offsets = self.draw_offsets(len(src), src.device)
        return self.decode(tgt_in, self.encode(src, mask, offsets), mask, offsets, found)

    def encode(self, src: Tensor, mask: Tensor | None, offsets: Tensor | None = None) -> Tensor:
        """Return the memory (B, S, D) of `src` (B, S); `mask` is its `padding_mask`, None where nothing is padded.

        Sentences start at the positions `offsets` (B, 1), by default 0.
        """
        x, rotation = self.embed(self.source_embedding(src), self.positions_of(src, offsets))
        for layer in self.encoder:
            x = layer(x, mask, rotation)
        return self.encoder_norm(x)

    def decode(
        self,
        tgt_in: Tensor,
        memory: Tensor,
        memory_mask: Tensor | None,
        offsets: Tensor | None = None,
        found: list[Tensor] | None = None,
    ) -> Tensor:
        """Return the decoder's output (B, T, D) for a whole target (B, T), which starts at the positions `offsets`.

        The log-weights (B, T, S) of the head that aligns are appended to `found`.
        """
        # Padding stands at the right, so that the causal mask hides it from every real position.
        causal_mask = layers.causal_mask(tgt_in, self.window)
        x, rotation = self.embed(self.target_embedding(tgt_in), self.positions_of(tgt_in, offsets))
        for number, layer in enumerate(self.decoder, 1):
            x = layer(x, memory, causal_mask, memory_mask, rotation, found if number == self.aligning_layer else None)
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
        return DecoderCache(mask, cross_kv, empty, window=self.window)

    def next_hidden(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Return the hidden states (B, K, D) that predict the piece after `tokens` (B, K)."""
        x, rotation = self.embed(self.target_embedding(tokens), self.positions(cache.length, 1))  # (B, K, D)
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
        found: list[Tensor] | None = None,
    ) -> Tensor:
        """Map `x` (B, T, D) to the same shape, with `memory` (B, S, D); masks broadcast to (B, H, T, T or S).

        The log-weights (B, T, S) of the first head over the memory are appended to `found`.
        """

        def attend_to_target(x: Tensor) -> Tensor:
            return self.self_attention(x, rotation, causal_mask, is_causal=True)

        x = self.residual(x, self.self_attention_norm, attend_to_target)
        if found is not None:
            inputs = self.cross_attention_norm(x) if self.pre_norm else x
            found.append(self.cross_attention.log_weights(inputs, memory, memory_mask))
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
