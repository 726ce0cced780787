"""What stands before and after the layers of every family: embeddings, positions and the output layer."""

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.model import layers
from nmt.model.protocol import Model


class Positions(nn.Module):
    """A vector for each position, in a `table` (limit, D)."""

    table: Tensor

    def forward(self, start: int, length: int) -> Tensor:
        """Return the vectors (length, D) of the positions from `start`."""
        return self.table[start : start + length]

    def at(self, places: Tensor) -> Tensor:
        """Return the vectors (..., D) of the positions `places` (...)."""
        return self.table[places]


class SinusoidalPositions(Positions):
    """Sines and cosines of geometrically falling frequencies, interleaved (section 3.5); float32 in every model."""

    def __init__(self, limit: int, d_model: int) -> None:
        super().__init__()
        self.register_buffer("table", self.encodings(limit, d_model), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        table = self.table
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.table.dtype != table.dtype:  # bfloat16 would round the sines to eight bits
            self.table = table.to(self.table.device)
        return self

    @staticmethod
    def encodings(limit: int, d_model: int) -> Tensor:
        """Return the encodings (limit, D) of the positions from 0."""
        if torch.get_default_device().type == "meta":  # where arithmetic imports SymPy, for a second
            return torch.empty(limit, d_model)
        position = torch.arange(limit, dtype=torch.float64)[:, None]
        frequency = 10_000 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
        angles = position * frequency  # (limit, D/2)
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


class LearnedPositions(Positions):
    """One learned vector a position, as in table 3, row (E)."""

    def __init__(self, limit: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(limit, d_model))


class EmbeddingModel(Model):
    """A model with embeddings of both sides, scaled and with positions, and an output layer (sections 3.4, 3.5).

    Shapes as in `nmt.model.layers`.
    """

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, *, pad_id: int, positions: int) -> None:
        """Make all but the layers and the output layer; `positions` is the length of the longest sequence."""
        super().__init__()
        self.pad_id = pad_id
        self.position_limit = 2 * config.max_length
        kind = LearnedPositions if config.positions == "learned" else SinusoidalPositions
        self.is_rotary, self.is_added = config.positions == "rotary", config.positions in ("sinusoidal", "learned")
        widths = {"rotary": config.width_of_heads, "none": 0}
        self.positions = kind(positions, widths.get(config.positions, config.d_model))
        self.offset = config.position_offset
        self.scale = math.sqrt(config.d_model)
        self.dropout = layers.Dropout(config.dropout)
        self.target_embedding = nn.Embedding(target_size, config.d_model)
        self.source_embedding = (
            self.target_embedding if config.tied_embeddings == "all" else nn.Embedding(source_size, config.d_model)
        )

    @staticmethod
    def final_norm(config: ModelConfig) -> nn.Module:
        """Return the norm behind a stack: pre-norm stacks need one, post-norm layers end in one."""
        return nn.LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()

    def add_generator(self, config: ModelConfig, target_size: int) -> None:
        """Make the output layer, and draw all weights."""
        self.generator = layers.Linear(config.d_model, target_size, bias=config.output_bias)
        self._initialize()
        if config.tied_embeddings != "none":
            self.generator.weight = self.target_embedding.weight

    def _initialize(self) -> None:
        """Draw matrices by Xavier's uniform rule, embeddings with variance 1/D, which scaling makes 1."""
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if "embedding" in name or "positions" in name:
                nn.init.normal_(parameter, std=1 / self.scale)
            else:
                layers.draw(name, parameter)

    def draw_offsets(self, sentences: int, device: torch.device) -> Tensor | None:
        """Draw the first position (B, 1) of each of B `sentences`, in training; None where all start at 0."""
        if not (self.training and self.offset):
            return None
        return torch.randint(self.offset + 1, (sentences, 1), device=device)

    def positions_of(self, ids: Tensor, offsets: Tensor | None) -> Tensor:
        """Return the vectors (T, D) of the positions of `ids` (B, T), or (B, T, D) where they have `offsets` (B, 1)."""
        if offsets is None:
            return self.positions(0, ids.size(1))
        return self.positions.at(offsets + torch.arange(ids.size(1), device=ids.device))

    def embed(self, vectors: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scale the embeddings `vectors` (B, T, D) by sqrt(D) and add `positions` (T, D) or (B, T, D).

        Rotary positions (T, E) are not added, but returned for the self-attention of each layer.
        """
        x = vectors * self.scale
        if self.is_added:
            x = x + positions  # in the type of the positions
        return self.dropout(x.to(vectors.dtype)), positions if self.is_rotary else None

    def padding_mask(self, src: Tensor) -> Tensor:
        """Return the mask (B, 1, 1, S) that hides the padding of `src` (B, S), by `prepare_mask`."""
        return layers.prepare_mask((src != self.pad_id)[:, None, None], self.target_embedding.weight.dtype)
