"""The Transformer of "Attention Is All You Need" (Vaswani et al. 2017), top to bottom as in the paper.

Shapes: `B` sentences, `S` source length, `T` target length, `D` model width, `H` heads, `F` feed-forward
width, `V` vocabulary, `K` beam size, `N` any number of rows. Batch first, right padding. Masks are True where
attention is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.config import ModelConfig

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""The operator is one that compiled models use; where a PyTorch has none, all is as usual."""


class Transformer(nn.Module):
    """The whole model: ids of both sides in, logits of the next target piece out (figure 1)."""

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, *, pad_id: int) -> None:
        super().__init__()
        self.pad_id = pad_id
        self.position_limit = 2 * config.max_length
        """Places that the positions know; a translation may be up to twice as long as the longest source."""
        self.positions = (SinusoidalPositions if config.positions == "sinusoidal" else LearnedPositions)(
            self.position_limit, config.d_model
        )
        self.scale = math.sqrt(config.d_model)
        self.dropout = Dropout(config.dropout)
        self.target_embedding = nn.Embedding(target_size, config.d_model)
        self.source_embedding = (
            self.target_embedding if config.tied_embeddings == "all" else nn.Embedding(source_size, config.d_model)
        )
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        # Pre-norm stacks need a final norm; post-norm layers end in one.
        final_norm = nn.LayerNorm if config.norm == "pre" else nn.Identity
        self.encoder_norm, self.decoder_norm = final_norm(config.d_model), final_norm(config.d_model)
        self.generator = Linear(config.d_model, target_size, bias=False)
        self._initialize()
        if config.tied_embeddings != "none":
            self.generator.weight = self.target_embedding.weight

    @property
    def decoder_layers(self) -> Iterable[DecoderLayer]:
        """The decoder's layers, by their type."""
        return cast("Iterable[DecoderLayer]", self.decoder)

    def _initialize(self) -> None:
        """Draw matrices by Xavier's uniform rule, embeddings with variance 1/D, so 1 once they are scaled."""
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

    def weights(self) -> dict[str, Tensor]:
        """Return every parameter by name, shared ones once."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy `weights` in. Raises ValueError where a name or a shape does not fit."""
        own = self.weights()
        if strangers := sorted(own.keys() ^ weights.keys()):
            raise ValueError(f"{strangers[0]} is not in both the file and the model")
        for name, parameter in own.items():
            if parameter.shape != weights[name].shape:
                raise ValueError(f"{name} is {tuple(weights[name].shape)}, not {tuple(parameter.shape)}")
            parameter.copy_(weights[name])

    def forward(self, src: Tensor, tgt_in: Tensor) -> Tensor:
        """Return logits (B, T, V) for `src` (B, S) and `tgt_in` (B, T)."""
        return self.generator(self.hidden(src, tgt_in))

    def hidden(self, src: Tensor, tgt_in: Tensor) -> Tensor:
        """Return what the generator makes logits of, (B, T, D), for `src` (B, S) and `tgt_in` (B, T)."""
        return self.decode(tgt_in, *self.encode(src))

    def embed(self, ids: Tensor, embedding: nn.Embedding, start: int = 0) -> Tensor:
        """Scale embeddings of `ids` (N, T) by sqrt(D) and add the positions from `start` (section 3.4, 3.5)."""
        return self.dropout(embedding(ids) * self.scale + self.positions(start, ids.size(1)))  # (N, T, D)

    def encode(self, src: Tensor) -> tuple[Tensor, Tensor]:
        """Return the memory (B, S, D) of `src` (B, S) and its padding mask (B, 1, 1, S)."""
        mask = (src != self.pad_id)[:, None, None, :]
        x = self.embed(src, self.source_embedding)
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoder_norm(x), mask

    def decode(self, tgt_in: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """Return the decoder's output (B, T, D) for a whole target (B, T)."""
        length = tgt_in.size(1)
        # Padding stands at the right, so that the causal mask hides it from every real position.
        causal_mask = torch.ones(length, length, dtype=torch.bool, device=tgt_in.device).tril()
        x = self.embed(tgt_in, self.target_embedding)
        for layer in self.decoder:
            x = layer(x, memory, causal_mask, memory_mask)
        return self.decoder_norm(x)

    def start_cache(self, src: Tensor) -> DecoderCache:
        """Encode `src` (B, S) and begin with one hypothesis of each sentence, BOS to come."""
        memory, mask = self.encode(src)
        across = [
            (keys.contiguous(), values.contiguous())  # read at every step
            for keys, values in (layer.cross_attention.keys_and_values(memory) for layer in self.decoder_layers)
        ]
        empty = across[0][0][:, :, :0]
        return DecoderCache(for_attention(mask), across, [(empty, empty) for _ in across])

    def decode_next(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Return logits (B, K, V) of the piece after `tokens` (B, K), the newest of each hypothesis.

        `cache` holds what came before and is extended by one position. K may change from call to call.
        """
        x = self.target_embedding(tokens) * self.scale + self.positions(cache.length, 1)  # (B, K, D)
        cache.extend(tokens.size(1))
        for index, layer in enumerate(self.decoder_layers):
            x = layer.next(x, cache, index)
        return self.generator(self.decoder_norm(x))


def for_attention(mask: Tensor) -> Tensor:
    """Return `mask`, True where attention is allowed, as attention takes it fastest: on a CPU what is to be added."""
    if mask.is_cuda or mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)


class DecoderCache:
    """What the decoder remembers of the hypotheses under way, so that each step computes one position.

    Keys and values stay where they were written: one place (of C) a hypothesis a step. Which places a hypothesis has
    gone through is said by a mask, so that choosing hypotheses copies nothing else.
    """

    def __init__(
        self, memory_mask: Tensor, across: list[tuple[Tensor, Tensor]], past: list[tuple[Tensor, Tensor]]
    ) -> None:
        self.memory_mask = memory_mask
        """(B, 1, 1, S), by `for_attention`."""
        self.across = across
        """Keys and values of the memory, for each layer (B, H, S, D/H): once a sentence, whatever the beam."""
        self.past = past
        """Keys and values of the target so far, for each layer (B, H, C, D/H), of which `places` are written."""
        self.places = 0
        self.length = 0
        """Target positions seen."""
        self.visited = memory_mask.new_zeros(len(memory_mask), 1, 0, dtype=torch.bool)
        """(B, K, places): whether a place belongs to the past of a hypothesis."""
        self.past_mask: Tensor | None = None
        """The same by `for_attention`, (B, 1, K, places); None where each sentence has one hypothesis."""

    def extend(self, width: int) -> None:
        """Make room for the next position of `width` hypotheses of each sentence, each following itself."""
        new = torch.eye(width, dtype=torch.bool, device=self.visited.device).expand(len(self.visited), -1, -1)
        self.visited = torch.cat([self.visited.expand(-1, width, -1), new], dim=2)
        self.places, self.length = self.places + width, self.length + 1
        is_one = self.places == self.length
        self.past_mask = None if is_one else for_attention(self.visited)[:, None]
        if self.places > self.past[0][0].size(2):
            self.past = [(self._with_room(keys), self._with_room(values)) for keys, values in self.past]

    def _with_room(self, past: Tensor) -> Tensor:
        """Return `past` (B, H, C, D/H) with half as many places again, and some."""
        batch, heads, capacity, size = past.shape
        larger = past.new_empty(batch, heads, self.places + max(8 * self.visited.size(1), capacity // 2), size)
        larger[:, :, :capacity] = past
        return larger

    def write(self, index: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the newest `keys` and `values` (B, H, K, D/H) of layer `index`; return all (B, H, places, D/H)."""
        for past, new in zip(self.past[index], (keys, values), strict=True):
            past[:, :, self.places - new.size(2) : self.places] = new
        all_keys, all_values = (past[:, :, : self.places] for past in self.past[index])
        return all_keys, all_values

    def follow(self, parents: Tensor) -> None:
        """Go on with the hypotheses `parents` (B, K) of each sentence."""
        self.visited = self.visited.gather(1, parents[..., None].expand(-1, -1, self.places))

    def keep_sentences(self, sentences: Tensor) -> None:
        """Keep the sentences at `sentences`, in that order; those that keep their place are not copied."""
        self.memory_mask, self.visited = self.memory_mask[sentences], self.visited[sentences]
        count = len(sentences)
        (moved,) = (sentences != torch.arange(count, device=sentences.device)).nonzero(as_tuple=True)
        origins = sentences[moved]
        for keys, values in self.across:
            keys[moved], values[moved] = keys[origins], values[origins]
        for keys, values in self.past:
            for past in (keys, values):
                past[moved, :, : self.places] = past[origins, :, : self.places]
        self.across = [(keys[:count], values[:count]) for keys, values in self.across]
        self.past = [(keys[:count], values[:count]) for keys, values in self.past]


class Linear(nn.Linear):
    """A linear map; on a CPU, in float32 and without gradients, by oneDNN.

    PyTorch gives such products to MKL, which does half as many a second as oneDNN on processors of AMD.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` (..., inputs) to (..., outputs)."""
        if x.dtype == torch.float32 and torch.is_inference_mode_enabled() and not x.is_cuda and HAS_ONEDNN:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return super().forward(x)


class Residual(nn.Module):
    """A layer made of sub-layers, each with dropout, a residual sum and a norm (section 3.1, 5.4)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.dropout = Dropout(config.dropout)

    def residual(self, x: Tensor, norm: nn.LayerNorm, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Add what `sublayer` makes of `x`."""
        if self.pre_norm:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))


class EncoderLayer(Residual):
    """Self-attention, then feed-forward (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.self_attention = Attention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map `x` (B, S, D) to the same shape; `mask` broadcasts to (B, H, S, S)."""
        x = self.residual(x, self.self_attention_norm, lambda x: self.self_attention(x, x, mask))
        return self.residual(x, self.feed_forward_norm, self.feed_forward)


class DecoderLayer(Residual):
    """Self-attention, attention over the memory, then feed-forward (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.self_attention = Attention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        self.cross_attention = Attention(config)
        self.cross_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)

    def forward(self, x: Tensor, memory: Tensor, causal_mask: Tensor, memory_mask: Tensor) -> Tensor:
        """Map `x` (B, T, D) to the same shape, with `memory` (B, S, D); masks broadcast to (B, H, T, T or S)."""
        x = self.residual(x, self.self_attention_norm, lambda x: self.self_attention(x, x, causal_mask))
        x = self.residual(x, self.cross_attention_norm, lambda x: self.cross_attention(x, memory, memory_mask))
        return self.residual(x, self.feed_forward_norm, self.feed_forward)

    def next(self, x: Tensor, cache: DecoderCache, index: int) -> Tensor:
        """Map the newest position of each hypothesis, `x` (B, K, D), and extend layer `index` of `cache`."""

        def attend_to_past(x: Tensor) -> Tensor:
            keys, values = cache.write(index, *self.self_attention.keys_and_values(x))
            return self.self_attention.attend(x, keys, values, cache.past_mask)

        def attend_to_memory(x: Tensor) -> Tensor:
            # The K hypotheses of a sentence are K queries to one memory: nothing is copied for the beam.
            return self.cross_attention.attend(x, *cache.across[index], cache.memory_mask)

        x = self.residual(x, self.self_attention_norm, attend_to_past)
        x = self.residual(x, self.cross_attention_norm, attend_to_memory)
        return self.residual(x, self.feed_forward_norm, self.feed_forward)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (section 3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.scale = (config.d_model // config.heads) ** -0.5
        self.query = Linear(config.d_model, config.d_model)
        self.key_value = Linear(config.d_model, 2 * config.d_model)
        self.output = Linear(config.d_model, config.d_model)
        self.dropout = Dropout(config.attention_dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Let each position of `x` (B, T, D) attend over `memory` (B, S, D).

        `mask` broadcasts to (B, H, T, S) and is True where attention is allowed.
        """
        return self.attend(x, *self.keys_and_values(memory), mask)

    def keys_and_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Project `memory` (B, S, D) to keys and values, each (B, H, S, D/H)."""
        keys, values = self.key_value(memory).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return keys, values

    def attend(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Let `x` (B, T, D) attend over `keys` and `values` (B, H, S, D/H); returns (B, T, D).

        `mask` broadcasts to (B, H, T, S): True where attention is allowed, or by `for_attention`.
        """
        queries = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D/H)
        if x.is_cuda:
            context = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=mask, dropout_p=self.dropout.p if self.training else 0.0
            )
        else:
            # Sentences are short: on a CPU two batched products beat the fused kernel, whose backward is slow; and
            # the softmax in float32 beats that in bfloat16.
            exact = torch.promote_types(values.dtype, torch.float32)
            weights = (queries @ keys.transpose(-2, -1)).to(exact) * self.scale  # (B, H, T, S)
            if mask is not None:
                weights = weights + for_attention(mask)
            context = self.dropout(weights.softmax(-1).to(values.dtype)) @ values  # (B, H, T, D/H)
        return self.output(context.transpose(1, 2).flatten(-2))  # (B, T, D)


class FeedForward(nn.Module):
    """Two linear maps with a ReLU between (section 3.3, eq. 2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner = Linear(config.d_model, config.ffn)
        self.outer = Linear(config.ffn, config.d_model)
        self.dropout = Dropout(config.activation_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map each position of `x` (..., D) by itself."""
        return self.outer(self.dropout(F.relu(self.inner(x))))


class Dropout(nn.Module):
    """Zero each element with probability `p`, scale the others by 1/(1-p) (Srivastava et al. 2014)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of `x`, of any shape, in training; else return it as it is."""
        if not self.training or self.p == 0:
            return x
        if x.is_cuda:
            return F.dropout(x, self.p)
        return x * self.mask(x)

    def mask(self, x: Tensor) -> Tensor:
        """Return the factors, 0 or 1/(1-p), for `x`.

        Each is decided by 16 bits of a 64-bit random word: four elements a draw, where torch's own Bernoulli
        on a CPU takes one draw an element. `p` is met to within 2^-17.
        """
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        threshold = min(round(self.p * 2**16), 2**16 - 1) - 2**15  # beyond int16 the comparison would wrap around
        # Compared into the type wanted: torch converts booleans to bfloat16 slowly.
        return torch.ge(bits, threshold, out=torch.empty_like(x)).mul_(1 / (1 - self.p))


class SinusoidalPositions(nn.Module):
    """Sines and cosines of geometrically falling frequencies, interleaved (section 3.5)."""

    table: Tensor

    def __init__(self, limit: int, d_model: int) -> None:
        super().__init__()
        position = torch.arange(limit, dtype=torch.float64)[:, None]
        frequency = 10_000 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
        angles = position * frequency  # (limit, D/2)
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (limit, D)
        self.register_buffer("table", table.float(), persistent=False)

    def forward(self, start: int, length: int) -> Tensor:
        """Return the encodings (length, D) of the positions from `start`."""
        return self.table[start : start + length]


class LearnedPositions(nn.Module):
    """One learned vector a position, as in table 3, row (E)."""

    def __init__(self, limit: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(limit, d_model))

    def forward(self, start: int, length: int) -> Tensor:
        """Return the vectors (length, D) of the positions from `start`."""
        return self.table[start : start + length]
