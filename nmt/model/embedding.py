"""What stands before and after the layers of every family: embeddings, positions and the output layer."""

import math

from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.model import layers
from nmt.model.protocol import Model


class EmbeddingModel(Model):
    """A model with embeddings of both sides, scaled and with positions, and an output layer (sections 3.4, 3.5).

    Shapes as in `nmt.model.layers`.
    """

    def __init__(self, config: ModelConfig, source_size: int, target_size: int, *, pad_id: int, positions: int) -> None:
        """Make all but the layers and the output layer; `positions` is the length of the longest sequence."""
        super().__init__()
        self.pad_id = pad_id
        self.position_limit = 2 * config.max_length
        kind = layers.LearnedPositions if config.positions == "learned" else layers.SinusoidalPositions
        self.is_rotary = config.positions == "rotary"
        self.positions = kind(positions, config.width_of_heads if self.is_rotary else config.d_model)
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
        self.generator = layers.Linear(config.d_model, target_size, bias=False)
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
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name.endswith("key_value.weight"):  # two matrices in one: each has the bound of its own shape
                for half in parameter.chunk(2):
                    nn.init.xavier_uniform_(half)
            else:
                nn.init.xavier_uniform_(parameter)

    def embed(self, vectors: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scale the embeddings `vectors` (B, T, D) by sqrt(D) and add `positions` (T, D) or (B, T, D).

        Rotary positions (T, E) are not added, but returned for the self-attention of each layer.
        """
        x = vectors * self.scale
        if not self.is_rotary:
            x = x + positions  # in the type of the positions
        return self.dropout(x.to(vectors.dtype)), positions if self.is_rotary else None

    def padding_mask(self, src: Tensor) -> Tensor:
        """Return the mask (B, 1, 1, S) that hides the padding of `src` (B, S), by `prepare_mask`."""
        return layers.prepare_mask((src != self.pad_id)[:, None, None], self.target_embedding.weight.dtype)
