"""A network of real vectors: the layers of the translation models, with linear maps in place of embeddings and pieces.

A token of a regression holds the input and the value of an example, (x, y), and that of a query (x, 0) (von Oswald et
al. 2023, section 2; Ding et al. 2023, section 3). There are no positions: only the mask tells examples apart. Shapes as
in `nmt.model.layers`; T tokens, `n` examples, then `q` queries.
"""

import torch
from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.model import layers
from nmt.model.one_sequence import SequenceLayer
from nmt.model.protocol import Network


class AttentionLayer(nn.Module):
    """Self-attention with a residual sum, without a feed-forward: the layer that theory is about.

    Without `has_norm` there is no norm before it, as in linear self-attention (von Oswald et al. 2023, section 2).
    """

    def __init__(self, config: ModelConfig, *, has_norm: bool) -> None:
        super().__init__()
        self.self_attention = layers.SelfAttention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model) if has_norm else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map `x` (B, T, D) to the same shape; `mask` broadcasts to (B, H, T, T)."""
        return x + self.self_attention(self.self_attention_norm(x), None, mask)


class VectorNetwork(Network):
    """A stack of layers over tokens that are vectors, which predicts a vector at each."""

    def __init__(
        self, config: ModelConfig, inputs: int, outputs: int, *, feed_forward: bool = False, has_norm: bool = True
    ) -> None:
        """Make a stack of `config.decoder_layers`, whole ones with `feed_forward`, else of attention alone."""
        super().__init__()
        self.input = layers.Linear(inputs, config.d_model)
        self.layers = nn.ModuleList(
            SequenceLayer(config) if feed_forward else AttentionLayer(config, has_norm=has_norm)
            for _ in range(config.decoder_layers)
        )
        self.norm = (
            nn.LayerNorm(config.d_model) if config.norm == "pre" and (feed_forward or has_norm) else nn.Identity()
        )
        self.output = layers.Linear(config.d_model, outputs)
        for name, parameter in self.named_parameters():
            if "norm" not in name:
                layers.draw(name, parameter)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the outputs (B, T, outputs) of `tokens` (B, T, inputs); `mask` as by `example_mask`."""
        x, mask = self.input(tokens), layers.prepare_mask(mask)
        for layer in self.layers:
            x = layer(x, mask)
        output: Tensor = self.output(self.norm(x))
        return output


def regression_tokens(x: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """Return the tokens (B, n + q, d + 1) of examples `x` (B, n, d), `y` (B, n) and `queries` (B, q, d)."""
    examples = torch.cat([x, y[..., None]], -1)
    return torch.cat([examples, torch.nn.functional.pad(queries, (0, 1))], 1)


def example_mask(counts: Tensor, examples: int, queries: int, *, is_causal: bool) -> Tensor:
    """Return which tokens each sees, (B, 1, T, T), where the first `counts` (B) of `examples` count in each sequence.

    The tokens that are seen are examples alone: a query sees all that count, and no query, not even itself, as it has
    no value (Ding et al. 2023, figure 5). Examples see each other, or, `is_causal`, themselves and the earlier ones.
    """
    places = torch.arange(examples + queries)
    seen = (places < counts[:, None]) & (places < examples)  # (B, T)
    mask = seen[:, None, None].expand(-1, -1, len(places), -1)
    return mask & (places <= places[:, None]) if is_causal else mask
